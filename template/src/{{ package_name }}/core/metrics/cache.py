"""Metrics of the cache: hits, misses, errors."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter

from ..cache.reading import CacheStore, Hit, LeaseHeld, LeaseTaken
from ..errors import UnavailableError


class CountedCacheStore:
    """Passes everything on to a store, and counts the results of lookups.

    A reader that waits for another one polls: its lookup is counted once, at its end.
    """

    def __init__(self, store: CacheStore, registry: CollectorRegistry) -> None:
        """Wrap a store, and register the metrics."""
        self._store = store
        lookups = Counter(
            "cache_lookups_total",
            "Lookups in the cache, by result: hit, miss, or error without the store.",
            ("result",),
            registry=registry,
        )
        # All three exist from the start, or the first increase of each would be lost.
        self._hits = lookups.labels("hit")
        self._misses = lookups.labels("miss")
        self._errors = lookups.labels("error")

    async def take(
        self, key: str, token: str, seconds: float
    ) -> Hit | LeaseTaken | LeaseHeld:
        """Return the content, or else take a lease with a TTL if none is held."""
        try:
            taken = await self._store.take(key, token, seconds)
        except UnavailableError:
            self._errors.inc()
            raise
        if isinstance(taken, Hit):
            self._hits.inc()
        elif isinstance(taken, LeaseTaken):
            self._misses.inc()
        return taken

    async def fill(self, key: str, token: str, content: bytes, seconds: float) -> None:
        """Store content with a TTL, if the lease still has this token."""
        await self._store.fill(key, token, content, seconds)

    async def release(self, key: str, token: str) -> None:
        """Return the lease, if it still has this token."""
        await self._store.release(key, token)

    async def drop(self, keys: Sequence[str]) -> None:
        """Remove contents and leases alike."""
        await self._store.drop(keys)
