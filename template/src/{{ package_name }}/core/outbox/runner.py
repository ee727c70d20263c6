"""Does the job of one message: at least once begun, and committed exactly once.

An attempt is counted first, in a transaction of its own, so that a job that takes its
worker down with it is not begun for ever. Then one transaction holds the row's lock
while the handler works, and commits what the handler wrote together with the mark that
the job is done. An id that arrives twice finds the row locked or done, and is skipped.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal
from uuid import UUID

import anyio
import structlog
from pydantic import ValidationError
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from structlog.contextvars import bound_contextvars

from ...settings import Settings
from ..database.session import follow_commit
from ..errors import ServiceError
from ..http_client.client import HttpClient
from .context import REQUEST_ID
from .handlers import Handlers, JobContext
from .messages import Message
from .models import IS_OPEN, OutboxMessage, seconds_from_now
from .outbox import Outbox
from .patience import SILENCE, persistently

log = structlog.stdlib.get_logger(__name__)

LONGEST_PAUSE_SECONDS = 3600.0
LONGEST_ERROR = 500

Outcome = Literal["done", "retried", "failed", "returned", "skipped"]


@dataclass
class Run:
    """One attempt at a job, as instruments see it."""

    message_id: UUID
    name: str
    attempt: int
    """1 for the first one."""
    context: Mapping[str, str]
    """What the message remembers of where it comes from."""
    outcome: Outcome | None = None
    """Set when the attempt is over."""
    error: BaseException | None = None
    """Why it was retried or failed."""


Instrument = Callable[[Run], AbstractContextManager[None]]
"""Entered before each attempt and left after it, with the outcome set."""


class LostWorkersError(RuntimeError):
    """Every attempt took its worker along, so there is not going to be another."""


class UnusableMessageError(ValueError):
    """Nothing in this release can do anything with the message.

    Its text is about the message's form alone, so that anybody may read it.
    """


class _TakenError(Exception):
    """The job is done, or somebody else is doing it."""


class _ReturnedError(Exception):
    """The worker stops, and gives the job back."""


@dataclass(frozen=True)
class _Begun:
    run: Run
    payload: dict[str, Any]


class Runner:
    """Does jobs, in as many tasks as call it."""

    def __init__(
        self,
        engine: AsyncEngine,
        http: HttpClient,
        settings: Settings,
        handlers: Handlers,
        instruments: Sequence[Instrument] = (),
    ) -> None:
        """Take what handlers work with, and what watches them."""
        self._engine = engine
        self._http = http
        self._settings = settings
        self._handlers = handlers
        self._instruments = instruments
        self._stopping = anyio.Event()
        self._running: set[asyncio.Timeout] = set()

    def give_back(self) -> None:
        """Stop the jobs that run, so that another worker begins them anew."""
        self._stopping.set()
        now = asyncio.get_running_loop().time()
        for deadline in self._running:
            if not deadline.expired():
                deadline.reschedule(now)

    async def run(self, message_id: UUID) -> None:
        """Do the job of a message, unless it is done, taken, or not due.

        Whatever the handler raises is recorded and not raised. While the database does
        not answer, this waits.
        """
        try:
            begun = await persistently(lambda: self._begin(message_id), self._stopping)
        except SILENCE:
            return
        if begun is None:
            log.debug("job_skipped", message_id=str(message_id))
            return
        run = begun.run
        names = {"job": run.name, "message_id": str(run.message_id)}
        if REQUEST_ID in run.context:
            names[REQUEST_ID] = run.context[REQUEST_ID]
        with bound_contextvars(**names, attempt=run.attempt), ExitStack() as stack:
            for instrument in self._instruments:
                stack.enter_context(instrument(run))
            await self._attempt(begun)

    async def _begin(self, message_id: UUID) -> _Begun | None:
        """Count an attempt; there is none if the row is locked or not due.

        It uses up all publications, so that of ids that arrive together, one counts.
        """
        free = (
            select(OutboxMessage.id)
            .where(
                IS_OPEN, OutboxMessage.id == message_id, OutboxMessage.publications > 0
            )
            .with_for_update(skip_locked=True)
            .cte("free")
        )
        count = (
            update(OutboxMessage)
            .where(OutboxMessage.id.in_(select(free.c.id)))
            .values(
                attempts=OutboxMessage.attempts + 1,
                publications=0,
                # This is when it is published again if this worker is lost.
                available_at=seconds_from_now(self._settings.jobs_redelivery_seconds),
            )
            .returning(
                OutboxMessage.name,
                OutboxMessage.attempts,
                OutboxMessage.context,
                OutboxMessage.payload,
            )
        )
        async with self._engine.begin() as connection:
            row = (await connection.execute(count)).one_or_none()
        if row is None:
            return None
        return _Begun(Run(message_id, row.name, row.attempts, row.context), row.payload)

    async def _attempt(self, begun: _Begun) -> None:
        run = begun.run
        started = perf_counter()
        try:
            await self._do(begun)
        except _TakenError:
            run.outcome = "skipped"
        except _ReturnedError:
            run.outcome = "returned"
            await self._close(run, available_at=func.now(), attempts=run.attempt - 1)
            log.warning("job_returned")
        except Exception as error:  # noqa: BLE001 - a handler may fail in any way
            run.error = error
            await self._fail(run, error)
        else:
            run.outcome = "done"
            log.info(
                "job_done", duration_ms=round((perf_counter() - started) * 1000, 1)
            )

    async def _do(self, begun: _Begun) -> None:
        run = begun.run
        if run.attempt > self._settings.jobs_max_attempts:
            raise LostWorkersError
        handling = self._handlers.by_name.get(run.name)
        if handling is None:
            text = f"nothing handles {run.name}"
            raise UnusableMessageError(text)
        message = _read(handling.message, begun.payload)
        async with self._engine.begin() as connection:
            # Only the connection's owner commits: a handler that calls `commit` has
            # flushed, and nothing else.
            session = AsyncSession(
                connection,
                expire_on_commit=False,
                join_transaction_mode="rollback_only",
            )
            async with session:
                await self._lock(run, session)
                context = JobContext(
                    message_id=run.message_id,
                    session=session,
                    outbox=Outbox(session, run.context),
                    http=self._http,
                    settings=self._settings,
                )
                async with self._limited():
                    await handling.call(message, context)
                await session.flush()
            done = update(OutboxMessage).where(OutboxMessage.id == run.message_id)
            await connection.execute(done.values(done_at=func.clock_timestamp()))
        await follow_commit(session)

    async def _lock(self, run: Run, session: AsyncSession) -> None:
        # If it was published again in between, the last attempt is the one.
        row = select(OutboxMessage.id).where(
            IS_OPEN,
            OutboxMessage.id == run.message_id,
            OutboxMessage.attempts == run.attempt,
        )
        if await session.scalar(row.with_for_update(skip_locked=True)) is None:
            raise _TakenError

    @asynccontextmanager
    async def _limited(self) -> AsyncIterator[None]:
        # Not anyio's time limit: it cancels again and again, also the request by which
        # the driver has the server stop a statement, and that would keep the row's lock.
        deadline = asyncio.timeout(self._settings.job_seconds)
        if self._stopping.is_set():
            raise _ReturnedError
        try:
            async with deadline:
                self._running.add(deadline)
                yield
        except Exception as error:
            if self._stopping.is_set() and deadline.expired():
                raise _ReturnedError from error
            raise
        finally:
            self._running.discard(deadline)

    async def _fail(self, run: Run, error: Exception) -> None:
        is_final = (
            isinstance(error, LostWorkersError | UnusableMessageError)
            or run.attempt >= self._settings.jobs_max_attempts
        )
        text = error_text(error)
        if is_final:
            run.outcome = "failed"
            await self._close(run, failed_at=func.now(), error=text)
            log.error("job_failed", reason=text, exc_info=error)
            return
        run.outcome = "retried"
        seconds = self._pause_seconds(run.attempt)
        available_at = seconds_from_now(seconds)
        await self._close(run, available_at=available_at, error=text)
        log.warning(
            "job_retried",
            reason=text,
            retry_seconds=round(seconds, 1),
            exc_info=error,
        )

    def _pause_seconds(self, attempt: int) -> float:
        # Anything between nothing and the whole pause, so that jobs that failed
        # together do not come back together.
        doublings = min(attempt - 1, 30)
        longest = self._settings.jobs_backoff_seconds * 2**doublings
        return random.uniform(0, min(longest, LONGEST_PAUSE_SECONDS))  # noqa: S311

    async def _close(self, run: Run, **values: Any) -> None:  # noqa: ANN401
        """Store how an attempt ended, unless another one has begun since."""
        close = (
            update(OutboxMessage)
            .where(
                IS_OPEN,
                OutboxMessage.id == run.message_id,
                OutboxMessage.attempts == run.attempt,
            )
            .values(**values)
        )

        async def store() -> None:
            async with self._engine.begin() as connection:
                await connection.execute(close)

        try:
            await persistently(store, self._stopping)
        except SILENCE as error:
            # The row is as it was when the attempt began, so it is published again.
            log.warning("job_left_open", error_type=type(error).__name__)


def _read(kind: type[Message], payload: dict[str, Any]) -> Message:
    try:
        return kind.model_validate(payload)
    except ValidationError as error:
        # Where it does not fit, and how; never what was there.
        places = [
            f"{'.'.join(map(str, failure['loc']))} {failure['type']}"
            for failure in error.errors(include_input=False, include_url=False)
        ]
        raise UnusableMessageError(", ".join(places)) from None


def error_text(error: BaseException) -> str:
    """Say what went wrong without anybody's data, which messages of errors may hold."""
    text = type(error).__name__
    if isinstance(error, ServiceError | UnusableMessageError):
        text = f"{text}: {error}"
    return text.replace("\0", "")[:LONGEST_ERROR]
