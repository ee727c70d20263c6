"""A trial is read from the cache, and a change of it is visible at once."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import httpx2
import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.types import ASGIApp

from order_service.main import create_app
from order_service.settings import Settings

from ..clients import client_of, running
from ..feature import TRIALS, add_trials


@pytest.fixture
async def trial(client: httpx2.AsyncClient) -> str:
    """Create a trial and return its path."""
    response = await client.post(TRIALS, json={"name": "Lamp"})
    return f"{TRIALS}/{response.json()['id']}"


async def name_of(client: httpx2.AsyncClient, trial: str) -> str:
    """Read the name of a trial."""
    response = await client.get(trial)
    assert response.status_code == 200
    name: str = response.json()["name"]
    return name


async def change_without_the_service(settings: Settings, name: str) -> None:
    """Change all trials without the service."""
    engine = create_async_engine(settings.database_url.get_secret_value())
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE trials SET name = :name"), {"name": name})
    await engine.dispose()


@contextmanager
def counted_reads() -> Iterator[list[str]]:
    """Collect the statements that read trials from the database."""
    reads: list[str] = []

    def note(*arguments: object) -> None:
        statement = str(arguments[2])
        if "FROM trials" in statement:
            reads.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield reads
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_second_read_is_a_cache_hit(
    client: httpx2.AsyncClient, trial: str, settings: Settings
) -> None:
    first = await client.get(trial)
    await change_without_the_service(settings, "Desk")

    with counted_reads() as reads:
        second = await client.get(trial)

    assert second.json() == first.json()
    assert reads == []


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_change_is_visible_at_once(
    client: httpx2.AsyncClient, trial: str, method: str
) -> None:
    assert await name_of(client, trial) == "Lamp"

    changed = await client.request(method, trial, json={"name": "Desk"})

    assert changed.status_code == 200
    assert (await client.get(trial)).json() == changed.json()


async def test_deleted_trial_is_not_found(client: httpx2.AsyncClient, trial: str) -> None:
    await client.get(trial)

    await client.delete(trial)

    assert (await client.get(trial)).status_code == 404


async def test_entry_expires_after_its_ttl(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"cache_seconds": 0.2}))
    add_trials(app)
    async with running(app) as service, client_of(service) as client:
        created = await client.post(TRIALS, json={"name": "Lamp"})
        trial = f"{TRIALS}/{created.json()['id']}"
        await name_of(client, trial)
        await change_without_the_service(settings, "Desk")

        with anyio.fail_after(20):
            while await name_of(client, trial) != "Desk":
                await anyio.sleep(0.02)


async def test_concurrent_misses_read_the_database_once(
    client: httpx2.AsyncClient, trial: str
) -> None:
    with counted_reads() as reads:
        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(name_of, client, trial)

    assert len(reads) == 1


async def test_racing_readers_cache_no_stale_content(
    client: httpx2.AsyncClient, trial: str
) -> None:
    is_done = False

    async def read_on() -> None:
        while not is_done:
            await name_of(client, trial)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(read_on)
        for number in range(10):
            await client.patch(trial, json={"name": f"Lamp {number}"})
            assert await name_of(client, trial) == f"Lamp {number}"
        is_done = True


async def test_entry_of_one_caller_is_hidden_from_others(
    service: ASGIApp, client: httpx2.AsyncClient, trial: str
) -> None:
    await client.get(trial)

    async with client_of(service, X_Caller="bob") as bob:
        assert (await bob.get(trial)).status_code == 404
