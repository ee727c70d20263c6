"""One engine per process, and one transaction per request."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

import anyio
from fastapi import Depends, FastAPI, Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from ..errors import ServiceError
from ..http.health import add_readiness_check
from ..lifespan import State, add_lifespan
from .dialect import (
    DatabaseSettings,
    connect_arguments,
    prepare_engine,
    reading_options,
)
from .problems import add_database_problem_handlers
from .settings import CHECKED

Sessions = async_sessionmaker[AsyncSession]

RECYCLE_SECONDS = 1800
"""Older connections are replaced, before a proxy in between drops them."""

READING = frozenset({"GET", "HEAD"})
"""The methods that change nothing (RFC 9110, section 9.2.1)."""

AFTER_COMMIT = "after_commit"
"""Key of `session.info`: the functions that were left for after the commit."""


def make_engine(settings: DatabaseSettings) -> AsyncEngine:
    """Make the engine; this connects to nothing."""
    engine = create_async_engine(
        settings.database_url.get_secret_value(),
        connect_args=connect_arguments(settings),
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_max_overflow,
        pool_timeout=settings.database_seconds,
        pool_recycle=RECYCLE_SECONDS,
        # The connection that was used last is the least likely to be broken.
        pool_use_lifo=True,
        # An error's text would otherwise contain the values that were being stored.
        hide_parameters=True,
    )
    prepare_engine(engine, settings)
    return engine


@asynccontextmanager
async def open_engine(settings: DatabaseSettings) -> AsyncIterator[AsyncEngine]:
    """Make the engine, and close its connections at the end."""
    engine = make_engine(settings)
    try:
        yield engine
    finally:
        await engine.dispose()


def add_database(app: FastAPI, settings: DatabaseSettings) -> AsyncEngine:
    """Give every request a session, and return the engine."""
    engine = make_engine(settings)
    reading = reading_options(settings)

    @asynccontextmanager
    async def share_sessions() -> AsyncIterator[State]:
        try:
            yield {
                "sessions": sessions_of(engine),
                "reads": sessions_of(engine, reading),
            }
        finally:
            await engine.dispose()

    add_lifespan(app, share_sessions)
    reads = engine.execution_options(**reading)
    add_readiness_check(app, "database", partial(check_database, reads))
    add_database_problem_handlers(app)
    return engine


def sessions_of(
    engine: AsyncEngine, options: Mapping[str, object] | None = None
) -> Sessions:
    """Make the factory of sessions; objects stay readable after a commit.

    The options are SQLAlchemy's execution options of each connection.
    """
    return async_sessionmaker(engine, expire_on_commit=False, execution_options=options)


async def check_database(engine: AsyncEngine) -> None:
    """Execute a query, which raises when the database does not respond."""
    async with engine.connect() as connection:
        if not connection.info.get(CHECKED):
            await connection.execute(text("SELECT 1"))


def call_after_commit(
    session: AsyncSession, call: Callable[[], Awaitable[None]]
) -> None:
    """Leave a function for after the commit of this session's changes.

    It must not raise, because a commit cannot be rolled back.
    """
    session.info.setdefault(AFTER_COMMIT, []).append(call)


async def commit(session: AsyncSession) -> None:
    """Commit, and then call the functions that were left for after the commit."""
    if session.in_transaction():
        await session.commit()
    await follow_commit(session)


async def follow_commit(session: AsyncSession) -> None:
    """Call the functions that were left for after the commit."""
    if calls := session.info.pop(AFTER_COMMIT, None):
        # The change is stored, so they are called even if the request is cancelled now.
        with anyio.CancelScope(shield=True):
            for call in calls:
                await call()


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give each request one transaction: commit on success, roll back on an error.

    For GET and HEAD, each statement is a transaction of its own.
    """
    is_reading = request.method in READING
    sessions: Sessions = request.state["reads" if is_reading else "sessions"]
    session = sessions()
    try:
        yield session
        await commit(session)
    except ServiceError as error:
        if error.commit_on_error:
            await commit(session)
        raise
    finally:
        # A commit has given the connection back already.
        if session.in_transaction():
            await session.close()


# "function" scope commits before the response is sent. The default would send 201
# first and only then discover that the commit failed.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]
