"""Cache lookups are counted by their result."""

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from order_service.core.cache.reading import CacheStore, Hit, LeaseHeld, LeaseTaken
from order_service.core.errors import UnavailableError
from order_service.core.metrics.cache import CountedCacheStore

from ..feature import TRIALS

NEEDS = {"read_cache"}


class StagedStore:
    """Returns the given results."""

    def __init__(self, *results: Hit | LeaseTaken | LeaseHeld | UnavailableError) -> None:
        """Take the results, the first one first."""
        self._results = list(results)

    async def take(self, key: str, token: str, seconds: float) -> Hit | LeaseTaken | LeaseHeld:
        """Return the next result."""
        result = self._results.pop(0)
        if isinstance(result, UnavailableError):
            raise result
        return result

    async def fill(self, *_: object) -> None:
        """Store nothing."""

    async def release(self, *_: object) -> None:
        """Release nothing."""

    async def drop(self, *_: object) -> None:
        """Remove nothing."""


async def test_repeated_read_is_one_miss(
    client: httpx2.AsyncClient,
) -> None:
    created = await client.post(TRIALS, json={"name": "Lamp"})
    for _ in range(3):
        await client.get(f"{TRIALS}/{created.json()['id']}")

    text = (await client.get("/metrics")).text

    assert 'cache_lookups_total{result="miss"} 1.0' in text
    assert 'cache_lookups_total{result="hit"} 2.0' in text
    assert 'cache_lookups_total{result="error"} 0.0' in text


async def test_wait_for_a_lease_counts_once_and_an_unreachable_store_is_an_error() -> None:
    registry = CollectorRegistry()
    unreachable = UnavailableError("planted")
    results = (LeaseTaken(), LeaseHeld(), LeaseHeld(), Hit(b"content"), unreachable)
    store: CacheStore = CountedCacheStore(StagedStore(*results), registry)

    for _ in range(4):
        await store.take("key", "token", 1)
    with pytest.raises(UnavailableError):
        await store.take("key", "token", 1)

    for result in ("hit", "miss", "error"):
        name = "cache_lookups_total"
        assert registry.get_sample_value(name, {"result": result}) == 1
