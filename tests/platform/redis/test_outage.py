"""Processes share counts and cache in Redis, and work without it while it is unavailable."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import anyio
import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import ASGIApp

from order_service.core.redis.client import open_redis
from order_service.main import create_app
from order_service.settings import Settings
from order_service_dev.redis import LocalRedis

from ..accounts import ADA, PASSWORD, register
from ..clients import client_of, running
from ..feature import TRIALS, add_trials
from ..waiting import wait_until

NEEDS = {"rate_limits"}

SECONDS = 1
"""The timeout of a call to Redis."""


@pytest.fixture
def fragile(settings: Settings, own_redis: LocalRedis) -> Settings:
    """Return the settings of a service on a server that the test may stop."""
    return settings.model_copy(
        update={
            "redis_url": SecretStr(own_redis.url),
            "redis_seconds": SECONDS,
            "rate_limit_default": "1000/minute",
        }
    )


def app_of(settings: Settings) -> FastAPI:
    """Build an application with the trials."""
    app = create_app(settings)
    add_trials(app)
    return app


@asynccontextmanager
async def client_while_running(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Run an application, and open a client of it."""
    async with running(app_of(settings)) as service, client_of(service) as client:
        yield client


async def wait_until_counting(client: httpx2.AsyncClient, *, is_counting: bool) -> None:
    """Send requests until the responses have the headers of a rate limit, or have none."""

    async def has_changed() -> bool:
        response = await client.get("/nowhere")
        assert response.status_code == 404
        return ("RateLimit" in response.headers) is is_counting

    await wait_until(has_changed)


async def create(client: httpx2.AsyncClient) -> str:
    """Create a trial and return its path."""
    response = await client.post(TRIALS, json={"name": "Lamp"})
    assert response.status_code == 201
    return f"{TRIALS}/{response.json()['id']}"


async def test_processes_share_the_counts_of_rate_limits(settings: Settings) -> None:
    few = settings.model_copy(update={"rate_limit_default": "5/minute"})
    statuses: list[int] = []

    async def request(service: ASGIApp) -> None:
        async with client_of(service) as client:
            statuses.append((await client.get("/nowhere")).status_code)

    async with (
        running(create_app(few)) as one,
        running(create_app(few)) as two,
        anyio.create_task_group() as group,
    ):
        for number in range(20):
            group.start_soon(request, (one, two)[number % 2])

    assert sorted(statuses) == [404] * 5 + [429] * 15


@pytest.mark.needs("database")
async def test_change_by_one_process_is_visible_to_the_other(settings: Settings) -> None:
    async with client_while_running(settings) as one, client_while_running(settings) as two:
        trial = await create(one)
        for name in ("Desk", "Chair", "Shelf"):
            assert (await two.get(trial)).status_code == 200
            await one.patch(trial, json={"name": name})
            assert (await two.get(trial)).json()["name"] == name
        await one.delete(trial)
        assert (await two.get(trial)).status_code == 404


@pytest.mark.needs("database")
async def test_change_during_an_outage_invalidates_the_cache(
    fragile: Settings, own_redis: LocalRedis
) -> None:
    async with client_while_running(fragile) as client:
        trial = await create(client)
        await client.get(trial)
        own_redis.stop()
        changed = await client.patch(trial, json={"name": "Desk"})
        during = await client.get(trial)
        own_redis.start()
        await wait_until_counting(client, is_counting=True)

        assert changed.status_code == 200
        assert during.json()["name"] == "Desk"
        assert (await client.get(trial)).json()["name"] == "Desk"


async def test_service_is_degraded_during_an_outage_and_counts_again_after_it(
    fragile: Settings, own_redis: LocalRedis
) -> None:
    async with client_while_running(fragile) as client:
        trial = await create(client)
        assert (await client.get("/health/ready")).json()["status"] == "ok"

        for _ in range(2):
            own_redis.stop()
            await wait_until_counting(client, is_counting=False)
            assert (await client.get(trial)).status_code == 200
            ready = await client.get("/health/ready")
            assert ready.status_code == 200
            assert ready.json()["status"] == "degraded"
            assert ready.json()["checks"]["redis"] in {"failed", "timeout"}

            own_redis.start()
            await wait_until_counting(client, is_counting=True)
            assert (await client.get("/health/ready")).json()["status"] == "ok"


async def test_service_that_fails_closed_responds_with_503_during_an_outage(
    fragile: Settings, own_redis: LocalRedis
) -> None:
    closed = fragile.model_copy(update={"rate_limit_on_failure": "closed"})
    async with client_while_running(closed) as client:
        own_redis.stop()
        headers = {"Origin": "https://app.example.com"}

        response = await client.get(TRIALS, headers=headers)

        assert response.status_code == 503
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.headers["Access-Control-Allow-Origin"] == headers["Origin"]
        assert response.headers["X-Request-ID"] == response.json()["request_id"]
        assert response.headers["Retry-After"] == "1"
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 503

        own_redis.start()

        async def is_back() -> bool:
            return (await client.get(TRIALS)).status_code == 200

        await wait_until(is_back)
        assert (await client.get("/health/ready")).status_code == 200


@pytest.mark.needs("auth")
@pytest.mark.parametrize(("policy", "status"), [("open", 200), ("closed", 503)])
async def test_sign_in_follows_the_policy_during_an_outage(
    fragile: Settings, own_redis: LocalRedis, policy: str, status: int
) -> None:
    settings = fragile.model_copy(update={"rate_limit_on_failure": policy})
    async with client_while_running(settings) as client:
        await register(client, ADA)
        own_redis.stop()

        response = await client.post(
            "/api/v1/auth/token", data={"username": ADA, "password": PASSWORD}
        )

        assert response.status_code == status


async def test_hanging_server_delays_the_first_request_only(
    fragile: Settings, hanging_url: str
) -> None:
    hanging = fragile.model_copy(update={"redis_url": SecretStr(hanging_url)})
    async with client_while_running(hanging) as client:
        started = monotonic()
        assert (await client.get("/nowhere")).status_code == 404
        first = monotonic() - started

        # During the pause no request calls it; at its end one request probes it again.
        started = monotonic()
        for _ in range(20):
            assert (await client.get("/nowhere")).status_code == 404
        others = monotonic() - started

    assert SECONDS / 2 < first < 3 * SECONDS
    assert others < 2 * SECONDS


@pytest.mark.needs("database")
async def test_server_without_memory_causes_no_error(fragile: Settings) -> None:
    async with client_while_running(fragile) as client:
        trial = await create(client)
        async with open_redis(fragile) as redis:
            await redis.run(lambda: redis.connections.config_set("maxmemory", "1"))

        assert (await client.get(trial)).status_code == 200
        assert (await client.patch(trial, json={"name": "Desk"})).status_code == 200
        assert (await client.get(trial)).json()["name"] == "Desk"
