"""Reads that a client may keep: entity tags, 304, Cache-Control."""

import httpx2
import pytest
from fastapi import FastAPI, Request, Response

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


@pytest.mark.parametrize("tags", [['"x"', "{tag}"], ["{tag}", '"x"']])
async def test_lines_of_a_condition_are_one_list(
    client: httpx2.AsyncClient, created: httpx2.Response, trial: str, tags: list[str]
) -> None:
    lines = [("If-None-Match", tag.format(tag=created.headers["ETag"])) for tag in tags]

    response = await client.get(trial, headers=lines)

    assert response.status_code == 304


async def test_condition_is_described(client: httpx2.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    read = document["paths"][f"{TRIALS}/{{trial_id}}"]["get"]
    listed = document["paths"][TRIALS]["get"]
    described = [one for one in read["parameters"] if one["name"] == "If-None-Match"]
    assert [(one["in"], one["schema"]) for one in described] == [("header", {"type": "string"})]
    assert "If-None-Match" not in [one["name"] for one in listed.get("parameters", [])]


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
    async def read_tagged(request: Request, response: Response) -> TrialWrite:
        response.headers["Content-Language"] = request.headers["Accept-Language"]
        return TrialWrite(name="Lampe")

    async with running(app) as service, client_of(service) as client:
        sent = await client.get("/tagged", headers={"Accept-Language": "de"})

    assert sent.headers["Content-Language"] == "de"
    assert sent.headers["Content-Type"] == "application/json"
    assert sent.headers["ETag"]
    assert sent.json()["name"] == "Lampe"
