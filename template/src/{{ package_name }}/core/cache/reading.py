"""Cache-aside: read from the cache, or from the database and then into the cache.

What makes it safe is the lease. Whoever finds nothing takes a lease on the key, and
only the holder of the lease may fill it. So of many readers at once one asks the
database, and the others wait for what it finds. Invalidating a key also takes the
lease away: whoever read the database before the change cannot store it after it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeVar
from uuid import UUID, uuid4

import anyio
import structlog
from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from ..database.session import after_commit
from ..errors import UnavailableError
from ..settings import ServiceSettings

log = structlog.stdlib.get_logger(__name__)

Schema = TypeVar("Schema", bound=BaseModel)

FIRST_WAIT_SECONDS = 0.005
LONGEST_WAIT_SECONDS = 0.05
"""How often a reader looks whether the holder of the lease is done."""

SETTLE_SECONDS = 0.5
"""How often an invalidation is tried again while the store does not answer."""


@dataclass(frozen=True)
class Found:
    """The content that a store has."""

    content: bytes


@dataclass(frozen=True)
class Leased:
    """The store has nothing, and the asker now holds the lease."""


@dataclass(frozen=True)
class Busy:
    """The store has nothing, and somebody else holds the lease."""


class CacheStore(Protocol):
    """Where content is kept; each of these happens in one step.

    All of them raise UnavailableError when the store cannot be reached.
    """

    async def take(self, key: str, token: str, seconds: float) -> Found | Leased | Busy:
        """Give the content, or else a lease for a time unless somebody holds it."""

    async def fill(self, key: str, token: str, content: bytes, seconds: float) -> None:
        """Keep content for a time, if the lease is still this one."""

    async def release(self, key: str, token: str) -> None:
        """Give the lease back, if it is still this one."""

    async def drop(self, keys: Sequence[str]) -> None:
        """Remove contents and leases alike."""


class Cache:
    """Reads through a store, and works without it while it cannot be reached."""

    def __init__(self, store: CacheStore, settings: ServiceSettings) -> None:
        """Take the store.

        Args:
            store: Where content is kept.
            settings: How long it is kept; and how long the database may take, which
                is how long a reader may need a lease.
        """
        self._store = store
        self._seconds = settings.cache_seconds
        self._lease_seconds = settings.database_seconds
        self._unsettled: set[str] = set()
        self._has_unsettled = asyncio.Event()

    async def read(
        self,
        key: str,
        schema: type[Schema],
        load: Callable[[], Awaitable[Schema | None]],
    ) -> Schema | None:
        """Give what is cached, or load it and cache it; ``None`` is never cached."""
        if key in self._unsettled:
            return await load()
        token = uuid4().hex
        try:
            taken = await self._take(key, token)
        except UnavailableError:
            return await load()
        if isinstance(taken, Found):
            with suppress(ValidationError):
                return schema.model_validate_json(taken.content)
            # An older release wrote it. The next reader fills it in today's shape.
            await self.invalidate([key])
        if not isinstance(taken, Leased):
            return await load()
        return await self._load_and_fill(key, token, load)

    async def invalidate(self, keys: Sequence[str]) -> None:
        """Remove content that is no longer true; call it after the commit.

        Before the commit it would be useless: a reader would store the old content
        again. When the store cannot be reached, this process reads past it for these
        keys until they are removed; other processes may show the old content for as
        long as it is kept.
        """
        try:
            await self._store.drop(keys)
        except UnavailableError:
            log.warning("cache_not_invalidated", keys=len(keys))
            self._unsettled.update(keys)
            self._has_unsettled.set()

    @asynccontextmanager
    async def settling(self) -> AsyncIterator[None]:
        """Remove in the background what could not be removed at once."""
        task = asyncio.create_task(self._settle())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _settle(self) -> None:
        while True:
            await self._has_unsettled.wait()
            keys = list(self._unsettled)
            try:
                await self._store.drop(keys)
            except UnavailableError:
                await anyio.sleep(SETTLE_SECONDS)
                continue
            self._unsettled.difference_update(keys)
            if not self._unsettled:
                self._has_unsettled.clear()

    async def _take(self, key: str, token: str) -> Found | Leased | Busy:
        wait = FIRST_WAIT_SECONDS
        taken: Found | Leased | Busy = Busy()
        # Whoever holds the lease that long is gone or too slow to wait for.
        with anyio.move_on_after(self._lease_seconds):
            while True:
                taken = await self._store.take(key, token, self._lease_seconds)
                if not isinstance(taken, Busy):
                    break
                await anyio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)
        return taken

    async def _load_and_fill(
        self, key: str, token: str, load: Callable[[], Awaitable[Schema | None]]
    ) -> Schema | None:
        loaded: Schema | None = None
        try:
            loaded = await load()
        finally:
            # Also when the request is cancelled, for others wait for the lease.
            with anyio.CancelScope(shield=True), suppress(UnavailableError):
                if loaded is None:
                    await self._store.release(key, token)
                else:
                    content = loaded.model_dump_json().encode()
                    await self._store.fill(key, token, content, self._seconds)
        return loaded


class RecordCache:
    """The cache as one request's transaction may use it, for one kind of record."""

    def __init__(self, cache: Cache, session: AsyncSession, *scope: object) -> None:
        """Work beside a transaction.

        Args:
            cache: Where records are read through.
            session: The transaction that records are read and changed in.
            scope: What kind of record, and whose: nobody reads beyond their scope.
        """
        self._cache = cache
        self._session = session
        self._scope = ":".join(map(str, scope))
        self._changed: set[str] = set()

    async def read(
        self,
        record_id: UUID,
        schema: type[Schema],
        load: Callable[[], Awaitable[Schema | None]],
    ) -> Schema | None:
        """Give what clients see of a record, loaded only when it is not cached."""
        key = self._key(record_id)
        if key in self._changed:
            # What this transaction has not committed yet is for nobody else to see.
            return await load()
        return await self._cache.read(key, schema, load)

    def forget(self, record_id: UUID) -> None:
        """Note that a record has changed: once that is committed, it is uncached."""
        key = self._key(record_id)
        if key not in self._changed:
            self._changed.add(key)
            after_commit(self._session, lambda: self._cache.invalidate([key]))

    def _key(self, record_id: UUID) -> str:
        return f"{self._scope}:{record_id}"


async def get_cache(request: Request) -> Cache:
    """Give the cache that the lifespan made."""
    cache: Cache = request.state["cache"]
    return cache


CacheDep = Annotated[Cache, Depends(get_cache)]
