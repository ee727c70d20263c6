"""Cache-aside: read from the cache, or else load and store the content.

Leases make this safe. A reader that misses takes a lease on the key, and only the
holder of the lease may store content. So of many concurrent readers one loads, and the
others wait for its content (no stampede). An invalidation also removes the lease: a
reader that loaded before the change cannot store old content after it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import uuid4

import anyio
import structlog
from pydantic import BaseModel, ValidationError

from ..errors import UnavailableError
from .settings import CacheSettings

log = structlog.stdlib.get_logger(__name__)

Schema = TypeVar("Schema", bound=BaseModel)

FIRST_WAIT_SECONDS = 0.005
LONGEST_WAIT_SECONDS = 0.05
"""Backoff of a reader that waits for the holder of the lease."""

RETRY_SECONDS = 0.5
"""Time between retries of an invalidation while the store is unavailable."""


@dataclass(frozen=True)
class Hit:
    """The store has this content."""

    content: bytes


@dataclass(frozen=True)
class LeaseTaken:
    """The store has no content, and this reader now holds the lease."""


@dataclass(frozen=True)
class LeaseHeld:
    """The store has no content, and another reader holds the lease."""


class CacheStore(Protocol):
    """Stores content; each method is one atomic step.

    All of them raise UnavailableError when the store cannot be reached.
    """

    async def take(
        self, key: str, token: str, seconds: float
    ) -> Hit | LeaseTaken | LeaseHeld:
        """Return the content, or else take a lease with a TTL if none is held."""

    async def fill(self, key: str, token: str, content: bytes, seconds: float) -> None:
        """Store content with a TTL, if the lease still has this token."""

    async def release(self, key: str, token: str) -> None:
        """Return the lease, if it still has this token."""

    async def drop(self, keys: Sequence[str]) -> None:
        """Remove contents and leases alike."""


class Cache:
    """Reads through a store, and without it while it is unavailable."""

    def __init__(self, store: CacheStore, settings: CacheSettings) -> None:
        """Use a store.

        Args:
            store: Where content is stored.
            settings: The TTL of content, and the timeout of the database, which is the
                TTL of a lease.
        """
        self._store = store
        self._seconds = settings.cache_seconds
        self._lease_seconds = settings.database_seconds
        self._stale: set[str] = set()
        self._has_stale = asyncio.Event()

    async def read(
        self, key: str, schema: type[Schema], load: Callable[[], Awaitable[Schema]]
    ) -> Schema:
        """Return the cached content, or load and cache it."""
        if key in self._stale:
            return await load()
        token = uuid4().hex
        try:
            taken = await self._take(key, token)
        except UnavailableError:
            return await load()
        if isinstance(taken, Hit):
            with suppress(ValidationError):
                return schema.model_validate_json(taken.content)
            # An older release stored it. The next reader stores it in the new shape.
            await self.invalidate([key])
        if not isinstance(taken, LeaseTaken):
            return await load()
        return await self._load_and_fill(key, token, load)

    async def invalidate(self, keys: Sequence[str]) -> None:
        """Remove content that has changed; call it after the commit.

        Before the commit, a reader would store the old content again. While the store
        is unavailable, this process bypasses it for these keys until they are removed;
        other processes may return the old content until its TTL ends.
        """
        try:
            await self._store.drop(keys)
        except UnavailableError:
            log.warning("cache_not_invalidated", keys=len(keys))
            self._stale.update(keys)
            self._has_stale.set()

    @asynccontextmanager
    async def settling(self) -> AsyncIterator[None]:
        """Retry failed invalidations in the background."""
        task = asyncio.create_task(self._settle())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _settle(self) -> None:
        while True:
            await self._has_stale.wait()
            keys = list(self._stale)
            try:
                await self._store.drop(keys)
            except UnavailableError:
                await anyio.sleep(RETRY_SECONDS)
                continue
            self._stale.difference_update(keys)
            if not self._stale:
                self._has_stale.clear()

    async def _take(self, key: str, token: str) -> Hit | LeaseTaken | LeaseHeld:
        wait = FIRST_WAIT_SECONDS
        taken: Hit | LeaseTaken | LeaseHeld = LeaseHeld()
        # A reader that holds the lease for longer has crashed or is too slow.
        with anyio.move_on_after(self._lease_seconds):
            while True:
                taken = await self._store.take(key, token, self._lease_seconds)
                if not isinstance(taken, LeaseHeld):
                    break
                await anyio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)
        return taken

    async def _load_and_fill(
        self, key: str, token: str, load: Callable[[], Awaitable[Schema]]
    ) -> Schema:
        loaded: Schema | None = None
        try:
            loaded = await load()
        finally:
            # Also when the request is cancelled, because others wait for the lease.
            with anyio.CancelScope(shield=True), suppress(UnavailableError):
                if loaded is None:
                    await self._store.release(key, token)
                else:
                    content = loaded.model_dump_json().encode()
                    await self._store.fill(key, token, content, self._seconds)
        return loaded
