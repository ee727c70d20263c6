"""Redis: one pool of connections for a process, and a timeout for each call."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from types import TracebackType
from typing import TypeVar

import anyio
import structlog
from fastapi import FastAPI
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ..errors import UnavailableError
from ..http.health import add_readiness_check
from ..lifespan import State, add_lifespan
from .settings import RedisSettings

log = structlog.stdlib.get_logger(__name__)

Result = TypeVar("Result")

PAUSE_SECONDS = 1.0
"""How long calls fail at once after a timeout, before one call tries again."""

LATE_SECONDS = 0.05
MOST_EXTENSIONS = 4
"""A timer that fires later than that is a sign of a busy process, not of a Redis that
does not respond: its response may be waiting to be read. The timeout starts again, at
most so many times."""

CONNECTION_ERRORS = (RedisConnectionError, RedisTimeoutError, OSError)


class RedisUnavailableError(UnavailableError):
    """Redis does not respond, or not in time."""

    def __init__(self) -> None:
        """Name neither a host nor a key."""
        super().__init__("Redis does not respond.")


class RedisClient:
    """Makes calls with a timeout, and makes none for a moment after one has timed out.

    The pause keeps the cost of an outage small: instead of every call of every
    request, one call in a second waits for its timeout.
    """

    def __init__(self, connections: Redis, settings: RedisSettings) -> None:
        """Take the pool of connections."""
        self.connections = connections
        self.prefix = settings.redis_prefix
        self._seconds = settings.redis_seconds
        # Waiting for a connection is no failure of Redis, so no timeout runs yet.
        self._turns = anyio.Semaphore(settings.redis_max_connections)
        self._resume_at = 0.0
        self._is_down = False

    async def run(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Make one call.

        Raises:
            RedisUnavailableError: there is no response in time, or a refusal.
        """
        async with self._turns:
            return await self._run(call)

    async def _run(self, call: Callable[[], Awaitable[Result]]) -> Result:
        if monotonic() < self._resume_at:
            raise RedisUnavailableError
        if self._is_down:
            # This call is the probe; the others do not wait with it.
            self._resume_at = monotonic() + self._seconds
        try:
            with _TimeLimit(self._seconds):
                result = await call()
        except CONNECTION_ERRORS as error:
            self._note_outage(error)
            raise RedisUnavailableError from error
        except RedisError as error:
            # It responds, but cannot do this: full, read-only, or still loading.
            log.warning("redis_refused", error_type=type(error).__name__)
            raise RedisUnavailableError from error
        self._note_response()
        return result

    async def check(self) -> None:
        """Send a PING.

        Raises:
            RedisUnavailableError: there is no response.
        """
        await self.run(self.connections.ping)

    async def close(self) -> None:
        """Close all connections."""
        await self.connections.aclose()
        await self.connections.connection_pool.aclose()

    def _note_outage(self, error: Exception) -> None:
        self._resume_at = monotonic() + PAUSE_SECONDS
        if not self._is_down:
            log.warning("redis_unavailable", error_type=type(error).__name__)
        self._is_down = True

    def _note_response(self) -> None:
        self._resume_at = 0.0
        if self._is_down:
            log.info("redis_available")
        self._is_down = False


class _TimeLimit:
    """Cancels a call at its timeout, unless this process was too busy to read."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._extensions = 0
        self._scope = anyio.CancelScope()
        self._start_timer()

    def __enter__(self) -> None:
        self._scope.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self._scope.__exit__(kind, error, traceback)
        if self._scope.cancelled_caught:
            raise TimeoutError

    def _start_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + self._seconds
        self._timer = loop.call_at(self._due, self._end)

    def _end(self) -> None:
        is_late = asyncio.get_running_loop().time() - self._due > LATE_SECONDS
        if is_late and self._extensions < MOST_EXTENSIONS:
            self._extensions += 1
            self._start_timer()
        else:
            self._scope.cancel()


def make_redis(settings: RedisSettings) -> RedisClient:
    """Make the client; this connects to nothing."""
    longest = settings.redis_seconds * (1 + MOST_EXTENSIONS)
    pool = BlockingConnectionPool.from_url(
        settings.redis_url.get_secret_value(),
        max_connections=settings.redis_max_connections,
        # RedisClient's own timeout is shorter; these are for calls that bypass it.
        timeout=longest,
        socket_timeout=longest,
        socket_connect_timeout=longest,
        # Every connection would otherwise begin with two more calls that name the driver.
        driver_info=None,
        # Once, at once: a connection that was idle while Redis restarted is replaced.
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[RedisConnectionError],
    )
    return RedisClient(Redis(connection_pool=pool), settings)


@asynccontextmanager
async def open_redis(settings: RedisSettings) -> AsyncIterator[RedisClient]:
    """Make the client, and close its connections at the end."""
    client = make_redis(settings)
    try:
        yield client
    finally:
        await client.close()


def add_redis(app: FastAPI, settings: RedisSettings) -> RedisClient:
    """Keep connections to Redis while the application runs, and return the client."""
    client = make_redis(settings)

    @asynccontextmanager
    async def close() -> AsyncIterator[State]:
        try:
            yield {}
        finally:
            await client.close()

    add_lifespan(app, close)
    check_redis(app, client, is_optional=True)
    return client


def check_redis(app: FastAPI, client: RedisClient, *, is_optional: bool) -> None:
    """Have the readiness probe check Redis.

    Args:
        app: The application.
        client: The client.
        is_optional: Whether the service works without Redis, as a cache does.
    """
    add_readiness_check(app, "redis", client.check, is_optional=is_optional)
