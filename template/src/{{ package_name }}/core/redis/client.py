"""Redis: one pool of connections for a process, and no call without a time limit."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from types import TracebackType
from typing import TypeVar

import anyio
import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ..errors import UnavailableError
from ..settings import ServiceSettings

log = structlog.stdlib.get_logger(__name__)

Result = TypeVar("Result")

PAUSE_SECONDS = 1.0
"""How long a Redis that did not answer is left alone before one call tries again."""

LATE_SECONDS = 0.05
MOST_EXTENSIONS = 4
"""A timer that fires later than that tells of a busy process, not of a silent Redis:
the answer may be waiting to be read. The call gets its time again, so many times."""

# Named, because formatting for Python 3.14 drops parentheses that 3.11 needs.
SILENCE = (RedisConnectionError, RedisTimeoutError, OSError)


class RedisUnavailableError(UnavailableError):
    """Redis does not answer, or not in time."""

    def __init__(self) -> None:
        """Say so without a host or a key."""
        super().__init__("Redis does not answer.")


class RedisClient:
    """Makes calls that end in time, and makes none for a moment after one has not.

    The pause keeps the cost of an outage small: instead of every call of every
    request, one call in a second waits for an answer that does not come.
    """

    def __init__(self, connections: Redis, settings: ServiceSettings) -> None:
        """Take the pool of connections."""
        self.connections = connections
        self.prefix = settings.redis_prefix
        self._seconds = settings.redis_seconds
        # Waiting for a connection says nothing about Redis, so no call's time runs yet.
        self._turns = anyio.Semaphore(settings.redis_max_connections)
        self._resume_at = 0.0
        self._is_down = False

    async def run(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Make one call.

        Raises:
            RedisUnavailableError: there is no answer in time, or a refusal.
        """
        async with self._turns:
            return await self._run(call)

    async def _run(self, call: Callable[[], Awaitable[Result]]) -> Result:
        if monotonic() < self._resume_at:
            raise RedisUnavailableError
        if self._is_down:
            # This call tries for everybody; the others do not wait with it.
            self._resume_at = monotonic() + self._seconds
        try:
            with _TimeLimit(self._seconds):
                result = await call()
        except SILENCE as error:
            self._note_silence(error)
            raise RedisUnavailableError from error
        except RedisError as error:
            # It answers, but cannot do this: full, read-only, or still loading.
            log.warning("redis_refused", error_type=type(error).__name__)
            raise RedisUnavailableError from error
        self._note_answer()
        return result

    async def check(self) -> None:
        """Ask for an answer.

        Raises:
            RedisUnavailableError: there is none.
        """
        await self.run(self.connections.ping)

    def _note_silence(self, error: Exception) -> None:
        self._resume_at = monotonic() + PAUSE_SECONDS
        if not self._is_down:
            log.warning("redis_unavailable", error_type=type(error).__name__)
        self._is_down = True

    def _note_answer(self) -> None:
        self._resume_at = 0.0
        if self._is_down:
            log.info("redis_available")
        self._is_down = False


class _TimeLimit:
    """Ends a call when its time is up, unless this process had none to look."""

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


@asynccontextmanager
async def open_redis(settings: ServiceSettings) -> AsyncIterator[RedisClient]:
    """Make the client, and close its connections at the end; this connects to nothing."""
    longest = settings.redis_seconds * (1 + MOST_EXTENSIONS)
    pool = BlockingConnectionPool.from_url(
        settings.redis_url.get_secret_value(),
        max_connections=settings.redis_max_connections,
        # The client's own limit comes first; these are for calls that go around it.
        timeout=longest,
        socket_timeout=longest,
        socket_connect_timeout=longest,
        # Every connection would otherwise begin with two more calls, to say what it uses.
        driver_info=None,
        # Once, at once: a connection that was idle while Redis restarted is replaced.
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[RedisConnectionError],
    )
    connections = Redis(connection_pool=pool)
    try:
        yield RedisClient(connections, settings)
    finally:
        await connections.aclose()
        await pool.aclose()
