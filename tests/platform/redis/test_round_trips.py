"""All limits of a request are counted in one round trip to Redis."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from redis import Redis

from order_service.core.rate_limits.middleware import rate_limit
from order_service.main import create_app
from order_service.settings import Settings
from order_service_dev.redis import LocalRedis

from ..accounts import ADA, PASSWORD, register
from ..clients import client_of, running

NEEDS = {"rate_limits"}

TOKEN = "/api/v1/auth/token"

Ask = Callable[[], Awaitable[httpx2.Response]]


@pytest.fixture
def server(own_redis: LocalRedis) -> Iterator[Redis]:
    """Open a connection to the server; it sends nothing by itself."""
    with Redis.from_url(own_redis.url, single_connection_client=True) as server:
        server.ping()
        yield server


@pytest.fixture
def app(settings: Settings, own_redis: LocalRedis) -> FastAPI:
    """Build a service that has the server to itself, and a route with two further limits."""
    rates = {"rate_limit_exports": "1000/minute", "rate_limit_reports": "1000/minute"}
    url = SecretStr(own_redis.url)
    app = create_app(settings.model_copy(update={"redis_url": url, **rates}))

    @app.post("/exports", dependencies=[rate_limit("exports"), rate_limit("reports")])
    async def export(data: dict[str, str]) -> dict[str, str]:
        return data

    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Open a client of the running service."""
    async with running(app) as service, client_of(service) as client:
        yield client


async def round_trips(server: Redis, ask: Ask, status: int) -> int:
    """Send a request twice, and count how often the server reads for the second one."""
    # The first one opens the connection and loads the scripts.
    await ask()
    before = server.info("stats")["total_reads_processed"]
    response = await ask()
    after = server.info("stats")["total_reads_processed"]
    assert response.status_code == status
    # One of them was for the second INFO.
    return int(after - before - 1)


async def test_default_limit_is_one_round_trip(server: Redis, client: httpx2.AsyncClient) -> None:
    assert await round_trips(server, lambda: client.get("/nowhere"), 404) == 1


async def test_limits_of_a_route_add_no_round_trip(
    server: Redis, client: httpx2.AsyncClient
) -> None:
    assert await round_trips(server, lambda: client.post("/exports", json={}), 200) == 1


async def test_count_is_kept_until_no_window_needs_it(
    server: Redis, client: httpx2.AsyncClient
) -> None:
    await client.get("/nowhere")

    (key,) = server.keys("*:limits:default:*")
    assert 60_000 < server.pttl(key) <= 120_000


@pytest.mark.needs("auth")
@pytest.mark.parametrize(("password", "status", "expected"), [(PASSWORD, 200, 3), ("x", 401, 2)])
async def test_login_guard_takes_one_round_trip_and_one_on_success(
    server: Redis, client: httpx2.AsyncClient, password: str, status: int, expected: int
) -> None:
    await register(client, ADA)
    form = {"username": ADA, "password": password}

    assert await round_trips(server, lambda: client.post(TOKEN, data=form), status) == expected
