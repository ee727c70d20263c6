"""Gauges of the connection pool follow its connections."""

from contextlib import AsyncExitStack

import httpx2
from prometheus_client import CollectorRegistry

from order_service.core.database.session import check_database, open_engine
from order_service.core.metrics.pool import watch_pool
from order_service.settings import Settings

NEEDS = {"database"}


def pool(registry: CollectorRegistry) -> dict[str, float | None]:
    """Read the gauges."""
    names = ("size", "limit", "checked_out", "overflow")
    return {name: registry.get_sample_value(f"database_pool_{name}") for name in names}


async def test_gauges_follow_the_connections(settings: Settings) -> None:
    small = settings.model_copy(update={"database_pool_size": 1, "database_max_overflow": 2})
    registry = CollectorRegistry()
    idle = {"size": 1, "limit": 3, "checked_out": 0, "overflow": 0}

    async with open_engine(small) as engine:
        watch_pool(engine, small, registry)
        assert pool(registry) == idle
        async with AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(engine.connect())
            assert pool(registry) == {**idle, "checked_out": 3, "overflow": 2}
        assert pool(registry) == idle

        async with engine.connect() as connection:
            await connection.invalidate()
        assert pool(registry) == idle
        await check_database(engine)
        assert pool(registry) == idle
    assert pool(registry) == idle


async def test_limit_is_exposed(client: httpx2.AsyncClient, settings: Settings) -> None:
    text = (await client.get("/metrics")).text

    most = settings.database_pool_size + settings.database_max_overflow
    assert f"database_pool_limit {float(most)}" in text
