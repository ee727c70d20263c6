"""How often a request waits for the database, counted between service and server."""

from typing import Annotated, Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI

from order_service.core.database import postgresql
from order_service.main import create_app
from order_service.settings import Settings

from ..accounts import ADA, register, sign_in
from ..feature import TRIALS, add_trials
from ..service import feature_module, has
from ..wire import Wire

NEEDS = {"postgresql"}

LAMP = {"name": "Lamp"}

router = APIRouter()

if has("auth"):
    Caller = Annotated[Any, Depends(feature_module("users", "dependencies").get_caller)]

    @router.get("/who")
    async def who(caller: Caller) -> str:
        """Return the id of the caller."""
        return str(caller.id)


@pytest.fixture
def app(wired_settings: Settings) -> FastAPI:
    """Build a service behind the proxy."""
    app = create_app(wired_settings)
    add_trials(app)
    app.include_router(router)
    return app


class Counted:
    """A client that knows how many round trips its last request took."""

    def __init__(self, client: httpx2.AsyncClient, wire: Wire) -> None:
        """Count on this wire."""
        self.client = client
        self._wire = wire

    async def trips(self, method: str, path: str, **options: object) -> int:
        """Send a request that must succeed, and return its round trips."""
        before = self._wire.trips
        response = await self.client.request(method, path, **options)  # type: ignore[arg-type]
        assert response.status_code < 400, response.text
        return self._wire.trips - before


@pytest.fixture
async def counted(
    client: httpx2.AsyncClient, wire: tuple[Wire, str], monkeypatch: pytest.MonkeyPatch
) -> Counted:
    """Return a client of a service with one warm connection, which no test lets idle."""
    monkeypatch.setattr(postgresql, "IDLE_SECONDS", 3600)
    counted = Counted(client, wire[0])
    created = await client.post(TRIALS, json=LAMP)
    # The first time, a connection prepares each statement.
    for path in ("/health/ready", TRIALS, created.headers["Location"]):
        await client.get(path)
    return counted


async def test_probes(counted: Counted) -> None:
    assert await counted.trips("GET", "/health/live") == 0
    assert await counted.trips("GET", "/health/ready") == 1


async def test_an_idle_connection_is_checked_once(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "IDLE_SECONDS", 0)

    # The check is also what the probe needs to know.
    assert await counted.trips("GET", "/health/ready") == 1
    assert await counted.trips("GET", TRIALS) == 2


async def test_reads_are_one_statement(counted: Counted) -> None:
    created = await counted.client.post(TRIALS, json=LAMP)
    path = created.headers["Location"]

    assert await counted.trips("GET", TRIALS) == 1
    assert await counted.trips("GET", path) == 1


@pytest.mark.needs("read_cache")
async def test_a_cached_read_and_its_304_are_free(counted: Counted) -> None:
    created = await counted.client.post(TRIALS, json=LAMP)
    path = created.headers["Location"]
    read = await counted.client.get(path)

    assert await counted.trips("GET", path) == 0
    current = {"If-None-Match": read.headers["ETag"]}
    assert await counted.trips("GET", path, headers=current) == 0


async def test_a_creation_is_one_transaction(counted: Counted) -> None:
    headers = {"Idempotency-Key": str(uuid4())} if has("idempotency_keys") else {}
    if not headers:
        # BEGIN, INSERT and COMMIT.
        assert await counted.trips("POST", TRIALS, json=LAMP) == 3
    else:
        # With a key: also its row, and the response that is stored in it.
        await counted.trips("POST", TRIALS, json=LAMP, headers=headers)
        other = {"Idempotency-Key": str(uuid4())}
        assert await counted.trips("POST", TRIALS, json=LAMP, headers=other) <= 6


@pytest.mark.needs("auth")
async def test_a_token_is_looked_up_once_within_a_moment(counted: Counted) -> None:
    await register(counted.client, ADA)
    await sign_in(counted.client, ADA)
    # This one also prepares the statement.
    await counted.trips("GET", "/who")

    await sign_in(counted.client, ADA)

    assert await counted.trips("GET", "/who") == 1
    assert await counted.trips("GET", "/who") == 0
    # The user's row is read each time, and says as well that the token is valid.
    await counted.trips("GET", "/api/v1/users/me")
    assert await counted.trips("GET", "/api/v1/users/me") == 1
