"""The cache in the memory of a process."""

from order_service.core.cache.memory import MOST_ENTRIES, MemoryCacheStore
from order_service.core.cache.reading import LeaseHeld, LeaseTaken

NEEDS = {"not redis"}


async def test_least_recently_used_entry_is_evicted() -> None:
    store = MemoryCacheStore()
    for number in range(MOST_ENTRIES):
        await store.take(str(number), "token", 60)
    assert await store.take("0", "other", 60) == LeaseHeld()

    await store.take("one more", "token", 60)

    # The least recently used entry is evicted: 0 was used just now, 1 was not.
    assert await store.take("0", "other", 60) == LeaseHeld()
    assert await store.take("1", "other", 60) == LeaseTaken()
