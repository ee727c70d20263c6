"""The parts of the database code that are specific to PostgreSQL."""

from time import monotonic
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.pool import ConnectionPoolEntry

from ..about import DISTRIBUTION
from .postgresql_settings import DatabaseSettings
from .settings import CHECKED

BATCH_MIGRATIONS = False
"""PostgreSQL changes a table in place."""

upsert = postgresql.insert
"""An INSERT that can state what to do when the row already exists."""

IDLE_SECONDS = 1
"""A connection that was taken from the pool longer ago is checked before it is used."""

MIGRATION_LOCK = 7_226_011
"""Any number that no other program locks in this database."""


def connect_arguments(settings: DatabaseSettings) -> dict[str, Any]:
    """Set timeouts, and name the connection for operators."""
    name = {"application_name": DISTRIBUTION}
    arguments: dict[str, Any] = {
        "timeout": settings.database_seconds,
        # For when no response arrives: the server's own timeout has no effect then.
        "command_timeout": settings.database_seconds,
        "server_settings": name | _timeouts(settings),
    }
    if settings.database_transaction_pooling:
        # The next transaction may run on another server connection, which does not have
        # the statements that were prepared on this one.
        arguments |= {
            "server_settings": name,
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,
        }
    return arguments


def prepare_engine(engine: AsyncEngine, settings: DatabaseSettings) -> None:
    """Replace broken connections, and set the timeouts behind a transaction pooler."""

    # A closed connection is known without a round trip. What breaks silently, in a
    # firewall for example, breaks while it is idle.
    @event.listens_for(engine.sync_engine, "checkout")
    def check(connection: Any, entry: ConnectionPoolEntry, _: object) -> None:  # noqa: ANN401
        now = monotonic()
        used_at = entry.info.get("used_at", now)
        entry.info.update({"used_at": now, CHECKED: False})
        if connection.driver_connection.is_closed():
            raise DisconnectionError
        if now - used_at > IDLE_SECONDS:
            try:
                connection.run_async(lambda driver: driver.execute("SELECT 1"))
            except Exception as error:
                # Others are probably broken, too.
                raise InvalidatePoolError from error
            entry.info[CHECKED] = True

    if settings.database_transaction_pooling:
        # A pooler does not pass on the timeouts of a connection, or it does so to
        # other services.
        timeouts = _timeouts(settings).items()
        calls = [f"set_config('{name}', '{limit}', true)" for name, limit in timeouts]
        statement = f"SELECT {', '.join(calls)}"

        @event.listens_for(engine.sync_engine, "begin")
        def limit_transaction(connection: Connection) -> None:
            connection.exec_driver_sql(statement)


def reading_options(settings: DatabaseSettings) -> dict[str, Any]:
    """Return the options for reads: without BEGIN and COMMIT, which are round trips.

    Behind a transaction pooler the timeouts need a transaction.
    """
    if settings.database_transaction_pooling:
        return {}
    return {"isolation_level": "AUTOCOMMIT"}


async def begin_snapshot(session: AsyncSession) -> None:
    """Begin a transaction whose statements all see the same state."""
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def _timeouts(settings: DatabaseSettings) -> dict[str, str]:
    """Return the server's timeouts, in milliseconds."""
    seconds = {
        "statement_timeout": settings.database_seconds,
        "idle_in_transaction_session_timeout": settings.idle_in_transaction_seconds,
    }
    return {name: str(int(limit * 1000)) for name, limit in seconds.items()}


def lock_migrations(connection: Connection) -> None:
    """Run one migration at a time, and wait at most ten seconds for a locked table."""
    connection.execute(text("SET lock_timeout = '10s'"))
    connection.execute(
        text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK}
    )
