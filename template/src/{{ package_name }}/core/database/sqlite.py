"""The parts of the database code that are specific to SQLite."""

from typing import Any

import aiosqlite
import anyio
from sqlalchemy import Connection, event, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.pool import ConnectionPoolEntry

from .sqlite_settings import DatabaseSettings

BATCH_MIGRATIONS = True
"""SQLite changes most of a table only by copying it."""

upsert = sqlite.insert
"""An INSERT that can state what to do when the row already exists."""


def connect_arguments(settings: DatabaseSettings) -> dict[str, Any]:
    """Limit how long to wait for another writer."""
    return {"timeout": settings.database_seconds, "async_creator_fn": _connect}


async def _connect(
    database: str,
    **options: Any,  # noqa: ANN401 - they are for the driver
) -> aiosqlite.Connection:
    connection = aiosqlite.connect(database, **options)
    thread = connection._thread  # noqa: SLF001 - it has no other name
    # A connection that is left open must not keep the process from ending.
    thread.daemon = True
    try:
        return await connection
    except BaseException:
        # The thread still uses the event loop, which may be closed next.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(thread.join)
        raise


def prepare_engine(engine: AsyncEngine, settings: DatabaseSettings) -> None:
    """Switch on for every connection what SQLite leaves off."""

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        # Readers and one writer do not wait for each other.
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.close()


def reading_options(settings: DatabaseSettings) -> dict[str, Any]:
    """Return no options: SQLite's driver begins a transaction for changes only."""
    return {}


async def begin_snapshot(session: AsyncSession) -> None:
    """Begin a transaction whose statements all see the same state."""
    await session.execute(text("BEGIN"))


def lock_migrations(connection: Connection) -> None:
    """Add nothing: SQLite lets one writer in at a time."""
