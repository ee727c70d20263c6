"""The database: one engine for a process, one transaction for a request."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import anyio
from fastapi import Depends, Request
from sqlalchemy import DateTime, Dialect, MetaData, TypeDecorator, text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from ..errors import ServiceError
from ..settings import ServiceSettings
from .dialect import connect_arguments, prepare_engine

Sessions = async_sessionmaker[AsyncSession]

RECYCLE_SECONDS = 1800
"""Older connections are replaced, before a proxy in between forgets them."""

AFTER_COMMIT = "after_commit"


def utc_now() -> datetime:
    """Give the present moment, aware of its time zone."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment that is always read as UTC, also where the database keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self, value: datetime | None, dialect: Dialect
    ) -> datetime | None:
        """Store UTC, so that text compares as time does."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(
        self, value: datetime | None, dialect: Dialect
    ) -> datetime | None:
        """Mark what was read as UTC."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """The base of all models; its names for constraints let migrations find them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime()}  # noqa: RUF012


class Record:
    """What every table has: an id that tells nothing, and two moments in UTC."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)


class Versioned:
    """What a record has of which no change may be lost: a count of them.

    Every UPDATE and DELETE names the version that was read, and fails when another
    transaction has stored a newer one.
    """

    version: Mapped[int]

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805
        """Tell SQLAlchemy which column counts."""
        return {"version_id_col": cls.version}


@asynccontextmanager
async def open_engine(settings: ServiceSettings) -> AsyncIterator[AsyncEngine]:
    """Make the engine, and close its connections at the end."""
    engine = create_async_engine(
        settings.database_url.get_secret_value(),
        connect_args=connect_arguments(settings),
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_max_overflow,
        pool_timeout=settings.database_seconds,
        pool_recycle=RECYCLE_SECONDS,
        pool_pre_ping=True,
        # An error's text would otherwise carry what was being stored.
        hide_parameters=True,
    )
    prepare_engine(engine, settings)
    try:
        yield engine
    finally:
        await engine.dispose()


def sessions_of(engine: AsyncEngine) -> Sessions:
    """Make the factory of sessions; objects stay readable after a commit."""
    return async_sessionmaker(engine, expire_on_commit=False)


async def check_database(engine: AsyncEngine) -> None:
    """Ask the database for an answer.

    Raises:
        Exception: whatever the driver raises when there is none.
    """
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


def after_commit(session: AsyncSession, call: Callable[[], Awaitable[None]]) -> None:
    """Have something done once the session's transaction is committed, if it is.

    It must not fail: what is committed cannot be taken back.
    """
    session.info.setdefault(AFTER_COMMIT, []).append(call)


async def commit(session: AsyncSession) -> None:
    """Commit, and then do what waits for it."""
    await session.commit()
    await follow_commit(session)


async def follow_commit(session: AsyncSession) -> None:
    """Do what waits for the commit that has just been made."""
    # The change is made, so these follow even if the request is cancelled now.
    with anyio.CancelScope(shield=True):
        for call in session.info.pop(AFTER_COMMIT, []):
            await call()


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give one request one transaction: commit on success, roll back on an error."""
    sessions: Sessions = request.state["sessions"]
    async with sessions() as session:
        try:
            yield session
        except ServiceError as error:
            if error.keeps_changes:
                await commit(session)
            raise
        await commit(session)


# "function" scope commits before the answer leaves. The default would answer 201
# first and only then discover that the commit failed.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]
