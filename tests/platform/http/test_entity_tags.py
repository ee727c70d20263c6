"""Reads that a client may keep: entity tags, 304, Cache-Control."""

import httpx2
import pytest
from fastapi import FastAPI, Response

from order_service.core.http.etag import conditional_get

from ..clients import client_of, running
from ..feature import TRIALS
from ..feature.schemas import TrialWrite


@pytest.fixture
def client(shared_client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """Share one service among the tests: each has a caller of its own."""
    return shared_client


@pytest.fixture
async def created(client: httpx2.AsyncClient) -> httpx2.Response:
    """Create a trial."""
    return await client.post(TRIALS, json={"name": "Lamp"})


@pytest.fixture
def trial(created: httpx2.Response) -> str:
    """Return the path of a trial."""
    return f"{TRIALS}/{created.json()['id']}"


async def test_location_of_a_created_trial_is_its_path(
    client: httpx2.AsyncClient, created: httpx2.Response, trial: str
) -> None:
    response = await client.get(created.headers["Location"])

    assert created.headers["Location"] == trial
    assert response.json() == created.json()
    assert response.headers["ETag"] == created.headers["ETag"]


async def test_response_may_be_stored_by_its_reader_alone(
    client: httpx2.AsyncClient, trial: str
) -> None:
    response = await client.get(trial)

    assert response.headers["Cache-Control"] == "private, no-cache"
    assert "Authorization" in response.headers["Vary"]


@pytest.mark.parametrize("condition", ["{tag}", "W/{tag}", '"7", W/{tag}', "*"])
async def test_unchanged_content_is_not_sent_again(
    client: httpx2.AsyncClient, created: httpx2.Response, trial: str, condition: str
) -> None:
    tag = created.headers["ETag"]

    response = await client.get(trial, headers={"If-None-Match": condition.format(tag=tag)})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["ETag"] == tag
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert "Authorization" in response.headers["Vary"]
    assert "Content-Type" not in response.headers


@pytest.mark.parametrize("condition", ["{tag}", "W/{tag}", '"3"', '"x"'])
async def test_changed_content_is_sent(
    client: httpx2.AsyncClient, created: httpx2.Response, trial: str, condition: str
) -> None:
    tag = created.headers["ETag"]
    changed = await client.patch(trial, json={"name": "Desk"})

    response = await client.get(trial, headers={"If-None-Match": condition.format(tag=tag)})

    assert response.status_code == 200
    assert response.json()["name"] == "Desk"
    assert response.headers["ETag"] == changed.headers["ETag"] != tag


async def test_invalid_condition_is_refused(client: httpx2.AsyncClient, trial: str) -> None:
    response = await client.get(trial, headers={"If-None-Match": "1"})

    assert response.status_code == 400


@pytest.mark.parametrize("path", [TRIALS, "/api/v1/nowhere", f"{TRIALS}/x"])
async def test_other_api_responses_are_not_stored(client: httpx2.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert response.headers["Cache-Control"] == "no-store"


async def test_cache_control_is_left_alone_outside_of_the_api(client: httpx2.AsyncClient) -> None:
    response = await client.get("/openapi.json")

    assert "Cache-Control" not in response.headers


async def test_cors_allows_conditional_headers_and_exposes_the_tag(
    client: httpx2.AsyncClient, trial: str
) -> None:
    origin = {"Origin": "https://app.example.com"}
    requested = {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "If-Match, If-None-Match",
    }

    allowed = await client.options(trial, headers=origin | requested)
    response = await client.get(trial, headers=origin)

    assert allowed.status_code == 200
    exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"ETag", "Location"} <= set(exposed)
    assert response.headers["Vary"] == "Authorization, Origin"


async def test_headers_of_the_endpoint_are_sent_as_well(app: FastAPI) -> None:
    @app.get("/tagged")
    @conditional_get
    async def read_tagged(response: Response) -> TrialWrite:
        response.headers["Content-Language"] = "de"
        return TrialWrite(name="Lampe")

    async with running(app) as service, client_of(service) as client:
        sent = await client.get("/tagged")

    assert sent.headers["Content-Language"] == "de"
    assert sent.headers["Content-Type"] == "application/json"
    assert sent.headers["ETag"]
    assert sent.json()["name"] == "Lampe"
