"""Cache store in the memory of each process."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from .reading import Hit, LeaseHeld, LeaseTaken

MOST_ENTRIES = 10_000
"""Above this, the least recently used entries are evicted."""


@dataclass(frozen=True)
class Entry:
    """Content, or a lease on it."""

    expires_at: float
    token: str = ""
    content: bytes | None = None


class MemoryCacheStore:
    """Stores content in this process; other processes do not see an invalidation.

    Nothing in it awaits, so that each method is one atomic step.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    async def take(
        self, key: str, token: str, seconds: float
    ) -> Hit | LeaseTaken | LeaseHeld:
        """Return the content, or else take a lease with a TTL if none is held."""
        entry = self._entries.get(key)
        if entry is None or entry.expires_at <= monotonic():
            self._put(key, Entry(monotonic() + seconds, token=token))
            return LeaseTaken()
        self._entries.move_to_end(key)
        return LeaseHeld() if entry.content is None else Hit(entry.content)

    async def fill(self, key: str, token: str, content: bytes, seconds: float) -> None:
        """Store content with a TTL, if the lease still has this token."""
        if self._is_leased(key, token):
            self._put(key, Entry(monotonic() + seconds, content=content))

    async def release(self, key: str, token: str) -> None:
        """Return the lease, if it still has this token."""
        if self._is_leased(key, token):
            del self._entries[key]

    async def drop(self, keys: Sequence[str]) -> None:
        """Remove contents and leases alike."""
        for key in keys:
            self._entries.pop(key, None)

    def _is_leased(self, key: str, token: str) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry.token == token

    def _put(self, key: str, entry: Entry) -> None:
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > MOST_ENTRIES:
            self._entries.popitem(last=False)
