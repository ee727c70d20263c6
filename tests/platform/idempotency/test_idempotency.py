"""A creation that is retried with the same key is executed once."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar
from uuid import UUID, uuid4

import anyio
import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from sqlalchemy import select, update
from starlette.types import ASGIApp

from order_service.core.database.models import utc_now
from order_service.core.database.session import open_engine, sessions_of
from order_service.core.errors import ConflictError
from order_service.core.http import etag
from order_service.core.http.schemas import RecordSchema
from order_service.core.idempotency.keys import idempotent
from order_service.core.idempotency.models import IdempotencyKey
from order_service.settings import Settings

from ..clients import client_of
from ..feature import TRIALS

EXPERIMENTS = "/experiments/one"
KEY = {"Idempotency-Key": "order-42"}
SENDERS = 20

router = APIRouter(prefix="/experiments")


class KeptError(ConflictError):
    """An error that commits what the request wrote."""

    commit_on_error: ClassVar[bool] = True


@dataclass
class Experiment:
    """What an experiment creates."""

    id: UUID = field(default_factory=uuid4)
    created_at: datetime = field(default_factory=utc_now)
    updated_at: datetime = field(default_factory=utc_now)


@dataclass
class Laboratory:
    """Runs experiments, fails as told, and counts."""

    failures: list[Exception] = field(default_factory=list)
    made: int = 0
    busy: int = 0
    busiest: int = 0

    async def make(self) -> Experiment:
        """Wait, then fail or return a result."""
        self.made += 1
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        try:
            await anyio.sleep(0.05)
            if self.failures:
                raise self.failures.pop()
            return Experiment()
        finally:
            self.busy -= 1


@router.post("/one", status_code=201)
@router.post("/two", status_code=201)
@idempotent()
@etag.tagged
async def create_experiment(request: Request, response: Response) -> RecordSchema:
    """Run an experiment."""
    laboratory: Laboratory = request.app.state.laboratory
    experiment = await laboratory.make()
    response.headers["Location"] = f"{request.url.path}/{experiment.id}"
    return RecordSchema.model_validate(experiment)


@pytest.fixture
def client(shared_client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """Share one service among the tests: each has a caller of its own."""
    return shared_client


@pytest.fixture
async def own_client(service: ASGIApp) -> AsyncIterator[httpx2.AsyncClient]:
    """Open a client of a service that only this test uses."""
    async with client_of(service) as client:
        yield client


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    """Build the application with experiments."""
    app.state.laboratory = Laboratory()
    app.include_router(router)
    return app


@pytest.fixture
def laboratory(app: FastAPI) -> Iterator[Laboratory]:
    """Return the laboratory; all planned failures must have happened."""
    made: Laboratory = app.state.laboratory
    yield made
    assert not made.failures


def essence(response: httpx2.Response) -> tuple[object, ...]:
    """Return everything of a response that a replay must repeat."""
    names = ("Content-Type", "Location", "ETag")
    headers = tuple(response.headers[name] for name in names)
    return response.status_code, response.content, *headers


async def count(client: httpx2.AsyncClient) -> int:
    """Count the trials."""
    return len((await client.get(TRIALS, params={"limit": "100"})).json()["items"])


async def test_replay_returns_the_first_response(
    client: httpx2.AsyncClient,
) -> None:
    first = await client.post(TRIALS, json={"name": "Lamp"}, headers=KEY)
    await client.patch(first.headers["Location"], json={"name": "Desk"})

    second = await client.post(TRIALS, json={"name": "Lamp"}, headers=KEY)

    assert first.status_code == 201
    assert essence(second) == essence(first)
    assert second.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert second.headers["Cache-Control"] == "no-store"
    assert await count(client) == 1


async def test_other_key_or_none_creates_another(client: httpx2.AsyncClient) -> None:
    for headers in ({}, {}, KEY, {"Idempotency-Key": "order-43"}):
        await client.post(TRIALS, json={"name": "Lamp"}, headers=headers)

    assert await count(client) == 4


async def test_concurrent_requests_with_one_key_create_one(client: httpx2.AsyncClient) -> None:
    responses: set[tuple[object, ...]] = set()

    async def create() -> None:
        response = await client.post(TRIALS, json={"name": "Lamp"}, headers=KEY)
        responses.add(essence(response))

    async with anyio.create_task_group() as group:
        for _ in range(SENDERS):
            group.start_soon(create)

    assert [response[0] for response in responses] == [201]
    assert await count(client) == 1


@pytest.mark.parametrize("body", [{"name": "Desk"}, {"name": "Lamp", "amount": 1}])
async def test_key_reused_with_another_body_is_refused(
    client: httpx2.AsyncClient, body: dict[str, object]
) -> None:
    await client.post(TRIALS, json={"name": "Lamp"}, headers=KEY)

    response = await client.post(TRIALS, json=body, headers=KEY)

    assert response.status_code == 422
    assert response.json()["code"] == "idempotency_key_reused"
    assert await count(client) == 1


async def test_key_reused_on_another_route_is_refused(
    own_client: httpx2.AsyncClient, laboratory: Laboratory
) -> None:
    await own_client.post(EXPERIMENTS, headers=KEY)

    response = await own_client.post("/experiments/two", headers=KEY)

    assert response.status_code == 422
    assert response.json()["code"] == "idempotency_key_reused"
    assert laboratory.made == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "a\tb", "x" * 256, "é", "\x7f"])
async def test_malformed_key_is_refused(client: httpx2.AsyncClient, key: str) -> None:
    response = await client.post(
        TRIALS,
        json={"name": "Lamp"},
        headers={b"Idempotency-Key": key.encode()},
    )

    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["location"] == "header.Idempotency-Key"
    assert await count(client) == 0


async def test_two_keys_are_refused(client: httpx2.AsyncClient) -> None:
    response = await client.post(
        TRIALS,
        json={"name": "Lamp"},
        headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    )

    assert response.status_code == 400
    assert await count(client) == 0


@pytest.mark.parametrize("key", ["x" * 255, "!~\"'\\;--%00"])
async def test_key_may_hold_any_visible_character(client: httpx2.AsyncClient, key: str) -> None:
    for _ in range(2):
        response = await client.post(
            TRIALS, json={"name": "Lamp"}, headers={"Idempotency-Key": key}
        )
        assert response.status_code == 201

    assert await count(client) == 1


async def test_invalid_content_leaves_the_key_free(client: httpx2.AsyncClient) -> None:
    refused = await client.post(TRIALS, json={"name": ""}, headers=KEY)
    response = await client.post(TRIALS, json={"name": "Lamp"}, headers=KEY)

    assert (refused.status_code, response.status_code) == (422, 201)


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (ConflictError("no"), 409),
        (KeptError("no"), 409),
        (ConnectionResetError(), 503),
        (RuntimeError(), 500),
    ],
)
async def test_failure_leaves_the_key_free(
    own_client: httpx2.AsyncClient,
    laboratory: Laboratory,
    failure: Exception,
    status: int,
) -> None:
    laboratory.failures.append(failure)

    responses = [await own_client.post(EXPERIMENTS, headers=KEY) for _ in range(3)]

    assert [response.status_code for response in responses] == [status, 201, 201]
    assert essence(responses[1]) == essence(responses[2])
    assert laboratory.made == 2


async def test_concurrent_requests_wait_and_take_over_after_a_failure(
    own_client: httpx2.AsyncClient, laboratory: Laboratory
) -> None:
    laboratory.failures.append(ConflictError("no"))
    responses: list[tuple[int, str | None]] = []

    async def create() -> None:
        response = await own_client.post(EXPERIMENTS, headers=KEY)
        responses.append((response.status_code, response.headers.get("Location")))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(create)

    assert sorted(status for status, _ in responses) == [201, 201, 201, 201, 409]
    assert len({location for status, location in responses if status == 201}) == 1
    assert (laboratory.made, laboratory.busiest) == (2, 1)


async def test_expired_key_is_removed_by_the_next_creation(
    own_client: httpx2.AsyncClient, settings: Settings
) -> None:
    forgotten = {"Idempotency-Key": "order-41"}
    for headers in (forgotten, KEY):
        await own_client.post(TRIALS, json={"name": "Lamp"}, headers=headers)
    async with open_engine(settings) as engine:
        async with sessions_of(engine).begin() as session:
            now = utc_now()
            expiry = await session.scalars(select(IdempotencyKey.expires_at))
            hours = [(moment - now).total_seconds() / 3600 for moment in expiry]
            await session.execute(update(IdempotencyKey).values(expires_at=now))

        again = await own_client.post(TRIALS, json={"name": "Desk"}, headers=KEY)

        async with sessions_of(engine)() as session:
            keys = list(await session.scalars(select(IdempotencyKey.key)))
    assert hours == pytest.approx([settings.idempotency_hours] * 2, abs=0.1)
    assert again.status_code == 201
    assert await count(own_client) == 3
    assert keys == ["order-42"]


async def test_cors_allows_the_header(
    client: httpx2.AsyncClient,
) -> None:
    response = await client.options(
        TRIALS,
        headers={
            "Origin": "https://app.example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "Idempotency-Key",
        },
    )

    assert response.status_code == 200


def test_key_is_documented(app: FastAPI) -> None:
    (key,) = [
        parameter
        for parameter in app.openapi()["paths"][TRIALS]["post"]["parameters"]
        if parameter["name"] == "Idempotency-Key"
    ]

    assert (key["in"], key["required"]) == ("header", False)
    assert key["schema"]["anyOf"][0]["maxLength"] == 255
    assert key["schema"]["anyOf"][0]["pattern"] == "^[!-~]+$"
