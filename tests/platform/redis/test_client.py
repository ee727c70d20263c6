"""Calls to Redis have a timeout, and back off while it is unavailable."""

import time
from time import monotonic

import anyio
import pytest
from pydantic import SecretStr

from order_service.core.redis import client as client_module
from order_service.core.redis.client import RedisClient, RedisUnavailableError, open_redis
from order_service.settings import Settings
from order_service_dev.redis import LocalRedis

SECONDS = 0.5
"""The timeout of a call."""


@pytest.fixture
def settings(module_settings: Settings, own_redis: LocalRedis) -> Settings:
    """Use the server that a test may stop, without a database."""
    return module_settings.model_copy(
        update={"redis_url": SecretStr(own_redis.url), "redis_seconds": SECONDS}
    )


async def test_only_one_probe_at_a_time_waits_for_an_unavailable_server(
    settings: Settings, hanging_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAUSE_SECONDS", 0.0)
    hanging = settings.model_copy(update={"redis_url": SecretStr(hanging_url)})
    durations: list[float] = []

    async def check(client: RedisClient) -> None:
        started = monotonic()
        with pytest.raises(RedisUnavailableError):
            await client.check()
        durations.append(monotonic() - started)

    async with open_redis(hanging) as client:
        await check(client)
        durations.clear()
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(check, client)

    assert len([duration for duration in durations if duration > SECONDS / 2]) == 1


async def test_no_call_is_made_during_the_pause_after_a_timeout(
    settings: Settings, hanging_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAUSE_SECONDS", 60.0)
    hanging = settings.model_copy(update={"redis_url": SecretStr(hanging_url)})

    async with open_redis(hanging) as client:
        with pytest.raises(RedisUnavailableError):
            await client.check()
        started = monotonic()
        for _ in range(10):
            with pytest.raises(RedisUnavailableError):
                await client.check()

    assert monotonic() - started < SECONDS


async def test_cancelled_call_does_not_spoil_the_next_one(settings: Settings) -> None:
    single = settings.model_copy(update={"redis_seconds": 10, "redis_max_connections": 1})
    async with open_redis(single) as client:
        await client.run(lambda: client.connections.set("first", "1"))
        await client.run(lambda: client.connections.set("second", "2"))
        await client.run(lambda: client.connections.client_pause(300))
        with anyio.move_on_after(0.1) as scope:
            await client.run(lambda: client.connections.get("first"))

        assert scope.cancelled_caught
        assert await client.run(lambda: client.connections.get("second")) == b"2"


async def test_busy_process_is_not_mistaken_for_an_unavailable_server(
    settings: Settings,
) -> None:
    async with open_redis(settings) as client:
        await client.check()
        await client.run(lambda: client.connections.client_pause(100))
        async with anyio.create_task_group() as group:
            group.start_soon(client.check)
            await anyio.wait_all_tasks_blocked()
            # The response arrives in time, and this process is too busy to read it.
            time.sleep(2 * SECONDS)  # noqa: ASYNC251 - To block the event loop is the point.


async def test_time_spent_waiting_for_a_connection_does_not_count(settings: Settings) -> None:
    single = settings.model_copy(update={"redis_max_connections": 1})
    async with open_redis(single) as client:

        async def occupy() -> None:
            await client.run(lambda: client.connections.blpop(["nothing"], SECONDS / 3))

        # Together they take twice the timeout.
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(occupy)
