"""Reading through the cache, and what it must never return."""

from collections.abc import AsyncIterator, Sequence

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel

from order_service.core.cache.reading import (
    Cache,
    CacheStore,
    Hit,
    LeaseHeld,
    LeaseTaken,
)
from order_service.core.errors import UnavailableError
from order_service.settings import Settings

from ..stores import open_cache_store


class Note(BaseModel):
    """Something to cache."""

    text: str


class Book:
    """Stands for the database: one note that changes, and a count of reads."""

    def __init__(self) -> None:
        """Start with a note."""
        self.text = "first"
        self.reads = 0
        self.seconds = 0.0

    async def load(self) -> Note:
        """Read the note, and take some time."""
        self.reads += 1
        note = Note(text=self.text)
        await anyio.sleep(self.seconds)
        return note


class UnreliableStore:
    """A store that can be unreachable."""

    def __init__(self, store: CacheStore) -> None:
        """Pass everything on while it is up."""
        self._store = store
        self.is_down = False

    async def take(self, key: str, token: str, seconds: float) -> Hit | LeaseTaken | LeaseHeld:
        """Pass on or fail."""
        await self._send()
        return await self._store.take(key, token, seconds)

    async def fill(self, key: str, token: str, content: bytes, seconds: float) -> None:
        """Pass on or fail."""
        await self._send()
        await self._store.fill(key, token, content, seconds)

    async def release(self, key: str, token: str) -> None:
        """Pass on or fail."""
        await self._send()
        await self._store.release(key, token)

    async def drop(self, keys: Sequence[str]) -> None:
        """Pass on or fail."""
        await self._send()
        await self._store.drop(keys)

    async def _send(self) -> None:
        # A remote store suspends its caller, who may be cancelled then.
        await anyio.lowlevel.checkpoint()
        if self.is_down:
            message = "The store is down."
            raise UnavailableError(message)


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Shorten how long a lease lasts."""
    return settings.model_copy(update={"cache_seconds": 60, "database_seconds": 2})


@pytest.fixture
async def store(quick: Settings) -> AsyncIterator[UnreliableStore]:
    """Return a store with nothing in it."""
    async with open_cache_store(quick) as store:
        yield UnreliableStore(store)


@pytest.fixture
def cache(store: UnreliableStore, quick: Settings) -> Cache:
    """Return a cache with nothing in it."""
    return Cache(store, quick)


@pytest.fixture
def book() -> Book:
    """Return something to read."""
    return Book()


async def read(cache: Cache, book: Book) -> str:
    """Read the note through the cache."""
    return (await cache.read("note", Note, book.load)).text


async def test_second_read_is_a_hit(cache: Cache, book: Book) -> None:
    assert await read(cache, book) == "first"
    book.text = "second"

    assert await read(cache, book) == "first"
    assert book.reads == 1


async def test_entry_expires_after_its_ttl(
    store: UnreliableStore, quick: Settings, book: Book
) -> None:
    cache = Cache(store, quick.model_copy(update={"cache_seconds": 0.2}))
    await read(cache, book)
    book.text = "second"

    with anyio.fail_after(20):
        while await read(cache, book) != "second":
            await anyio.sleep(0.02)


async def test_concurrent_misses_load_once(
    settings: Settings, store: UnreliableStore, book: Book
) -> None:
    cache = Cache(store, settings)
    book.seconds = 0.1
    texts: list[str] = []

    async def note_text() -> None:
        texts.append(await read(cache, book))

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(note_text)

    assert texts == ["first"] * 50
    assert book.reads == 1


async def test_invalidated_is_read_again(cache: Cache, book: Book) -> None:
    await read(cache, book)
    book.text = "second"

    await cache.invalidate(["note"])

    assert await read(cache, book) == "second"


@pytest.mark.parametrize("has_newer_reader", [True, False])
async def test_load_from_before_an_invalidation_is_not_cached(
    cache: Cache, book: Book, *, has_newer_reader: bool
) -> None:
    is_loaded, is_invalidated = anyio.Event(), anyio.Event()

    async def load_and_wait() -> Note:
        note = await book.load()
        is_loaded.set()
        await is_invalidated.wait()
        return note

    async with anyio.create_task_group() as group:
        group.start_soon(cache.read, "note", Note, load_and_wait)
        await is_loaded.wait()
        book.text = "second"
        await cache.invalidate(["note"])
        if has_newer_reader:
            assert await read(cache, book) == "second"
        is_invalidated.set()

    assert await read(cache, book) == "second"
    assert book.reads == 2


async def test_failed_load_releases_the_lease(cache: Cache, book: Book) -> None:
    async def fail() -> Note:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await cache.read("note", Note, fail)

    with anyio.fail_after(1):
        assert await read(cache, book) == "first"


async def test_cancelled_load_releases_the_lease(cache: Cache, book: Book) -> None:
    book.seconds = 10
    with anyio.move_on_after(0.05):
        await read(cache, book)
    book.seconds = 0

    with anyio.fail_after(1):
        assert await read(cache, book) == "first"


async def test_lease_of_a_dead_reader_expires(
    cache: Cache, store: UnreliableStore, book: Book
) -> None:
    await store.take("note", "a reader that was killed", 60)

    with anyio.fail_after(4):
        assert await read(cache, book) == "first"


async def test_content_of_another_schema_is_replaced(
    cache: Cache, store: UnreliableStore, book: Book
) -> None:
    await store.take("note", "token", 1)
    await store.fill("note", "token", b'{"words": "of an older release"}', 60)

    assert await read(cache, book) == "first"
    book.text = "second"
    assert await read(cache, book) == "second"
    assert await read(cache, book) == "second"
    assert book.reads == 2


async def test_everybody_reads_the_database_while_the_store_is_down(
    cache: Cache, store: UnreliableStore, book: Book
) -> None:
    store.is_down = True
    assert await read(cache, book) == "first"
    book.text = "second"
    assert await read(cache, book) == "second"

    store.is_down = False
    assert await read(cache, book) == "second"
    book.text = "third"
    assert await read(cache, book) == "second"


async def test_store_that_fails_during_a_load_is_tolerated(
    cache: Cache, store: UnreliableStore, book: Book
) -> None:
    async def fail_and_load() -> Note:
        store.is_down = True
        return await book.load()

    note = await cache.read("note", Note, fail_and_load)

    assert note == Note(text="first")


async def test_failed_invalidation_is_retried(
    settings: Settings, store: UnreliableStore, book: Book
) -> None:
    cache = Cache(store, settings.model_copy(update={"cache_seconds": 60}))
    await read(cache, book)
    async with cache.settling():
        store.is_down = True
        book.text = "second"
        await cache.invalidate(["note"])
        # The store is up again, with the old note and without the invalidation.
        store.is_down = False
        assert await read(cache, book) == "second"
        # Without an entry, other processes load the new note, too.
        with anyio.fail_after(20):
            while await store.take("note", "token", 0.01) != LeaseTaken():
                await anyio.sleep(0.02)
