"""The cache in numbers: how often it had what was asked for."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter

from ..cache.reading import Busy, CacheStore, Found, Leased
from ..errors import UnavailableError


class CountedCacheStore:
    """Passes everything on to a store, and counts what lookups come to.

    Whoever waits for another reader looks again and again: that lookup is counted
    once, when there is something to find.
    """

    def __init__(self, store: CacheStore, registry: CollectorRegistry) -> None:
        """Wrap a store, and register the numbers."""
        self._store = store
        lookups = Counter(
            "cache_lookups_total",
            "Lookups in the cache: found, not found, or the store did not answer.",
            ("result",),
            registry=registry,
        )
        # From the start all three are there, or the first of each would not count.
        self._hits = lookups.labels("hit")
        self._misses = lookups.labels("miss")
        self._errors = lookups.labels("error")

    async def take(self, key: str, token: str, seconds: float) -> Found | Leased | Busy:
        """Give the content, or else a lease for a time unless somebody holds it."""
        try:
            taken = await self._store.take(key, token, seconds)
        except UnavailableError:
            self._errors.inc()
            raise
        if isinstance(taken, Found):
            self._hits.inc()
        elif isinstance(taken, Leased):
            self._misses.inc()
        return taken

    async def fill(self, key: str, token: str, content: bytes, seconds: float) -> None:
        """Keep content for a time, if the lease is still this one."""
        await self._store.fill(key, token, content, seconds)

    async def release(self, key: str, token: str) -> None:
        """Give the lease back, if it is still this one."""
        await self._store.release(key, token)

    async def drop(self, keys: Sequence[str]) -> None:
        """Remove contents and leases alike."""
        await self._store.drop(keys)
