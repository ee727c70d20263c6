"""Cache store that all processes of the service share, in Redis."""

from collections.abc import Sequence

from ..redis.client import RedisClient
from .reading import Hit, LeaseHeld, LeaseTaken

# The first byte distinguishes a lease from content.
LEASE = b"l"
CONTENT = b"c"

TAKE = """
local kept = redis.call('GET', KEYS[1])
if kept then
    return kept
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""

FILL = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
"""

RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
"""


class RedisCacheStore:
    """Stores content in Redis; all processes see an invalidation."""

    def __init__(self, client: RedisClient) -> None:
        """Use a client's connections and timeouts."""
        self._client = client
        self._take = client.connections.register_script(TAKE)
        self._fill = client.connections.register_script(FILL)
        self._release = client.connections.register_script(RELEASE)

    async def take(
        self, key: str, token: str, seconds: float
    ) -> Hit | LeaseTaken | LeaseHeld:
        """Return the content, or else take a lease with a TTL if none is held."""
        lease = _lease(token)
        arguments: list[bytes | int] = [lease, _milliseconds(seconds)]
        kept: bytes = await self._client.run(
            lambda: self._take(keys=[self._name(key)], args=arguments)
        )
        if kept.startswith(CONTENT):
            return Hit(kept.removeprefix(CONTENT))
        return LeaseTaken() if kept == lease else LeaseHeld()

    async def fill(self, key: str, token: str, content: bytes, seconds: float) -> None:
        """Store content with a TTL, if the lease still has this token."""
        arguments: list[bytes | int] = [
            _lease(token),
            CONTENT + content,
            _milliseconds(seconds),
        ]
        await self._client.run(
            lambda: self._fill(keys=[self._name(key)], args=arguments)
        )

    async def release(self, key: str, token: str) -> None:
        """Return the lease, if it still has this token."""
        arguments = [_lease(token)]
        await self._client.run(
            lambda: self._release(keys=[self._name(key)], args=arguments)
        )

    async def drop(self, keys: Sequence[str]) -> None:
        """Remove contents and leases alike."""
        names = [self._name(key) for key in keys]
        await self._client.run(lambda: self._client.connections.delete(*names))

    def _name(self, key: str) -> str:
        return f"{self._client.prefix}:cache:{key}"


def _lease(token: str) -> bytes:
    return LEASE + token.encode()


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
