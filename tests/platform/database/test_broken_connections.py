"""A broken connection costs no request: it is replaced before it is used."""

import anyio
import anyio.lowlevel
import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.types import ASGIApp

from order_service.core.database import postgresql
from order_service.main import create_app
from order_service.settings import Settings

from ..clients import client_of
from ..feature import TRIALS, add_trials
from ..wire import Wire

NEEDS = {"postgresql"}

AT_ONCE = 8


@pytest.fixture
def app(wired_settings: Settings) -> FastAPI:
    """Build a service behind the proxy."""
    app = create_app(wired_settings)
    add_trials(app)
    return app


async def statuses(service: ASGIApp, method: str = "GET") -> list[int]:
    """Send requests at once, and return the statuses of the responses."""
    found: list[int] = []

    async def send() -> None:
        async with client_of(service) as client:
            body = {"json": {"name": "Lamp"}} if method == "POST" else {}
            response = await client.request(method, TRIALS, **body)  # type: ignore[arg-type]
            found.append(response.status_code)

    async with anyio.create_task_group() as group:
        for _ in range(AT_ONCE):
            group.start_soon(send)
    return found


async def test_connections_that_the_server_closed(service: ASGIApp, wire: tuple[Wire, str]) -> None:
    await statuses(service)

    wire[0].cut()
    await anyio.wait_all_tasks_blocked()

    assert await statuses(service, "POST") == [201] * AT_ONCE
    assert await statuses(service) == [200] * AT_ONCE


async def test_connections_that_an_administrator_ended(service: ASGIApp, database_url: str) -> None:
    await statuses(service)

    engine = create_async_engine(database_url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        ended = await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        assert ended.rowcount > 0
    await engine.dispose()
    await anyio.wait_all_tasks_blocked()

    assert await statuses(service, "POST") == [201] * AT_ONCE


async def test_idle_connections_that_broke_silently(
    service: ASGIApp, wire: tuple[Wire, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await statuses(service)

    wire[0].silence()
    monkeypatch.setattr(postgresql, "IDLE_SECONDS", 0)

    async with client_of(service) as client:
        assert (await client.get(TRIALS)).status_code == 200


async def test_under_load_only_running_statements_fail(
    service: ASGIApp, wire: tuple[Wire, str]
) -> None:
    found: list[int] = []
    is_loading = True

    async def load(client: httpx2.AsyncClient) -> None:
        while is_loading:
            response = await client.post(TRIALS, json={"name": "Lamp"})
            found.append(response.status_code)

    async with client_of(service) as client, anyio.create_task_group() as group:
        for _ in range(AT_ONCE):
            group.start_soon(load, client)
        for cuts in range(1, 6):
            while len(found) < cuts * 3 * AT_ONCE:
                await anyio.lowlevel.checkpoint()
            wire[0].cut()
        is_loading = False

    assert set(found) <= {201, 503}
    # Each cut meets one statement of each client at most.
    assert found.count(503) <= 5 * AT_ONCE
    assert await statuses(service) == [200] * AT_ONCE
