"""The users of access tokens, kept for a moment to save a query per request."""

from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic, time
from uuid import UUID

MOST_TOKENS = 10_000
"""Above this, the token that was checked first is forgotten."""


@dataclass(frozen=True)
class Identity:
    """The user for whom a request is made."""

    id: UUID
    role: str


class Identities:
    """Remembers which tokens this process has just checked."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: OrderedDict[str, tuple[Identity, float]] = OrderedDict()

    def get(self, token: str) -> Identity | None:
        """Return whose token this is, or ``None`` if it has to be checked."""
        identity, until = self._known.get(token, (None, 0.0))
        return identity if monotonic() < until else None

    def put(self, token: str, identity: Identity, expires_at: float) -> None:
        """Remember a token that was checked, until it expires (Unix time) at most."""
        seconds = min(self._seconds, expires_at - time())
        self._known[token] = identity, monotonic() + seconds
        self._known.move_to_end(token)
        if len(self._known) > MOST_TOKENS:
            self._known.popitem(last=False)

    async def forget(self, user_id: UUID) -> None:
        """Have a user's tokens checked again, after a change that revokes them."""
        own = [token for token, (one, _) in self._known.items() if one.id == user_id]
        for token in own:
            del self._known[token]
