"""Behind a transaction pooler, nothing stays on a connection between transactions."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from order_service.core.database.session import open_engine
from order_service.settings import Settings

NEEDS = {"postgresql"}

LIMITS = ["statement_timeout", "idle_in_transaction_session_timeout"]


@pytest.fixture
async def pooled(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """Return an engine for a transaction pooler."""
    given = settings.model_copy(update={"database_transaction_pooling": True})
    async with open_engine(given) as engine:
        yield engine


@pytest.fixture
async def direct(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """Return an engine for direct connections."""
    async with open_engine(settings) as engine:
        yield engine


async def limits(connection: AsyncConnection) -> dict[str, str]:
    """Read the timeouts of the server and their source."""
    found = await connection.execute(
        text("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)"),
        {"names": LIMITS},
    )
    return {row.name: row.setting for row in found}


async def prepared_statements(engine: AsyncEngine) -> int:
    """Count the prepared statements that a transaction leaves."""
    async with engine.begin() as connection:
        await connection.execute(text("SELECT :number + 1"), {"number": 1})
    async with engine.begin() as connection:
        # The statement that counts is one of them, if it has a name.
        count = text("SELECT count(*) FROM pg_prepared_statements")
        found: int = await connection.scalar(count)
        return found


async def test_timeouts_apply_in_each_transaction(pooled: AsyncEngine, direct: AsyncEngine) -> None:
    async with direct.begin() as connection:
        expected = await limits(connection)

    for _ in range(2):
        async with pooled.begin() as connection:
            assert await limits(connection) == expected
    assert expected["statement_timeout"] == "5000"


async def test_no_setting_is_left_on_the_connection(pooled: AsyncEngine) -> None:
    async with pooled.connect() as connection:
        await limits(connection)
        await connection.rollback()
        # Asked past SQLAlchemy, which would begin a transaction.
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        assert driver is not None
        left = await driver.fetch("SELECT source FROM pg_settings WHERE name = ANY($1)", LIMITS)

    # A pooler knows no limits at the start of a connection: it would refuse them.
    assert "client" not in {row["source"] for row in left}


async def test_no_prepared_statement_is_left_on_the_connection(
    pooled: AsyncEngine, direct: AsyncEngine
) -> None:
    assert await prepared_statements(pooled) == 0
    assert await prepared_statements(direct) > 0
