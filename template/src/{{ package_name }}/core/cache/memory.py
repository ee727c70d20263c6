"""A cache that each process has for itself."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from .reading import Busy, Found, Leased

MOST_ENTRIES = 10_000
"""The entries that have not been asked for the longest make room for new ones."""


@dataclass(frozen=True)
class Entry:
    """Content, or a lease on it."""

    expires_at: float
    token: str = ""
    content: bytes | None = None


class MemoryCacheStore:
    """Keeps content in this process; other processes hear nothing of a change.

    Nothing in it awaits, so that each method happens in one step.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    async def take(self, key: str, token: str, seconds: float) -> Found | Leased | Busy:
        """Give the content, or else a lease for a time unless somebody holds it."""
        entry = self._entries.get(key)
        if entry is None or entry.expires_at <= monotonic():
            self._put(key, Entry(monotonic() + seconds, token=token))
            return Leased()
        self._entries.move_to_end(key)
        return Busy() if entry.content is None else Found(entry.content)

    async def fill(self, key: str, token: str, content: bytes, seconds: float) -> None:
        """Keep content for a time, if the lease is still this one."""
        if self._is_leased(key, token):
            self._put(key, Entry(monotonic() + seconds, content=content))

    async def release(self, key: str, token: str) -> None:
        """Give the lease back, if it is still this one."""
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
