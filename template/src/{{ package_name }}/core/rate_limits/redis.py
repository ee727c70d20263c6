"""Counts that all processes of the service share, in Redis."""

from fastapi import FastAPI
from limits.aio.storage import RedisStorage

from ..redis.client import RedisClient, check_redis
from .limits import RateLimiter
from .middleware import add_rate_limits
from .redis_settings import SharedRateLimitSettings


class SharedCounts(RedisStorage):
    """Keeps sliding windows in Redis, over the connections of the whole process."""

    def __init__(self, client: RedisClient) -> None:
        """Use a client's connections and its timeouts."""
        super().__init__(
            # The address is the pool's; this one only names the kind of server.
            "async+redis://",
            implementation="redispy",
            key_prefix=f"{client.prefix}:limits",
            connection_pool=client.connections.connection_pool,  # type: ignore[arg-type]
        )
        self._client = client
        # The library makes its own client, on the same connections.
        client.clients.append(self.bridge.storage)  # type: ignore[attr-defined]

    async def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count, unless that would exceed the limit; Redis does it in one step."""
        count = super().acquire_sliding_window_entry
        return await self._client.run(lambda: count(key, limit, expiry, amount))

    async def get_sliding_window(
        self, key: str, expiry: int
    ) -> tuple[int, float, int, float]:
        """Return the counts of the last window and of this one, and when they expire."""
        read = super().get_sliding_window
        return await self._client.run(lambda: read(key, expiry))

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Delete both windows."""
        names = [self._previous_window_key(key), self._current_window_key(key)]

        async def clear() -> None:
            # One after the other: a call has one connection.
            for name in names:
                await self.clear(name)

        await self._client.run(clear)


def add_shared_rate_limits(
    app: FastAPI, settings: SharedRateLimitSettings, redis: RedisClient
) -> RateLimiter:
    """Limit how many requests a client may send, counted for all processes together."""
    is_open = settings.rate_limit_on_failure == "open"
    check_redis(app, redis, is_optional=is_open)
    return add_rate_limits(app, settings, SharedCounts(redis), is_open=is_open)
