"""Runs the job of one message: attempted at least once, committed exactly once.

An attempt is counted first, in a separate transaction, so that a job that crashes its
worker is not retried for ever. Then one transaction locks the row while the handler
works, and commits what the handler wrote together with the mark that the job is done. A
duplicate id finds the row locked or done, and is skipped.
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
from .patience import DATABASE_ERRORS, retry_while_unavailable

log = structlog.stdlib.get_logger(__name__)

LONGEST_PAUSE_SECONDS = 3600.0
LONGEST_ERROR = 500

Outcome = Literal["done", "retried", "failed", "returned", "skipped"]


@dataclass
class Run:
    """One attempt at a job, for observability."""

    message_id: UUID
    name: str
    attempt: int
    """1 for the first one."""
    context: Mapping[str, str]
    """The context of the message: the ids of its request and trace."""
    outcome: Outcome | None = None
    """Set at the end of the attempt."""
    error: BaseException | None = None
    """The error, if the attempt was retried or failed."""


Instrument = Callable[[Run], AbstractContextManager[None]]
"""A context manager around each attempt; the outcome is set when it exits."""


class LostWorkersError(RuntimeError):
    """Every attempt crashed its worker, so there is no further retry."""


class UnusableMessageError(ValueError):
    """This release has no handler for the message, or cannot parse it.

    Its text describes the form of the message only, so it may be logged.
    """


class _TakenError(Exception):
    """The job is done, or another worker is running it."""


class _ReturnedError(Exception):
    """The worker is shutting down, and releases the job for another one."""


@dataclass(frozen=True)
class _Begun:
    run: Run
    payload: dict[str, Any]


class Runner:
    """Runs jobs, one for each concurrent call."""

    def __init__(
        self,
        engine: AsyncEngine,
        http: HttpClient,
        settings: Settings,
        handlers: Handlers,
        instruments: Sequence[Instrument] = (),
    ) -> None:
        """Use these dependencies of handlers, and these observers."""
        self._engine = engine
        self._http = http
        self._settings = settings
        self._handlers = handlers
        self._instruments = instruments
        self._stopping = anyio.Event()
        self._running: set[asyncio.Timeout] = set()

    def give_back(self) -> None:
        """Cancel the running jobs, so that another worker retries them."""
        self._stopping.set()
        now = asyncio.get_running_loop().time()
        for deadline in self._running:
            if not deadline.expired():
                deadline.reschedule(now)

    async def run(self, message_id: UUID) -> None:
        """Run the job of a message, unless it is done, locked, or not due.

        Errors of the handler are recorded and not raised. While the database is
        unavailable, this waits.
        """
        try:
            begun = await retry_while_unavailable(
                lambda: self._begin(message_id), self._stopping
            )
        except DATABASE_ERRORS:
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
        """Count an attempt, or return none if the row is locked or not due.

        It resets the count of publications, so that of duplicate ids only one counts.
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
                # The time of redelivery if this worker crashes.
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
            # Only the connection's owner commits: a call of `commit` in a handler only
            # flushes.
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
        # If it was redelivered meanwhile, the latest attempt owns the job.
        row = select(OutboxMessage.id).where(
            IS_OPEN,
            OutboxMessage.id == run.message_id,
            OutboxMessage.attempts == run.attempt,
        )
        if await session.scalar(row.with_for_update(skip_locked=True)) is None:
            raise _TakenError

    @asynccontextmanager
    async def _limited(self) -> AsyncIterator[None]:
        # Not anyio's timeout: it cancels repeatedly, also the request by which the
        # driver cancels a statement on the server, and the row would stay locked.
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
        # Full jitter: jobs that failed together are not retried together.
        doublings = min(attempt - 1, 30)
        longest = self._settings.jobs_backoff_seconds * 2**doublings
        return random.uniform(0, min(longest, LONGEST_PAUSE_SECONDS))  # noqa: S311

    async def _close(self, run: Run, **values: Any) -> None:  # noqa: ANN401
        """Store the outcome of an attempt, unless a later one has begun."""
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
            await retry_while_unavailable(store, self._stopping)
        except DATABASE_ERRORS as error:
            # The row is unchanged since the attempt began, so it is published again.
            log.warning("job_left_open", error_type=type(error).__name__)


def _read(kind: type[Message], payload: dict[str, Any]) -> Message:
    try:
        return kind.model_validate(payload)
    except ValidationError as error:
        # The location and type of each mismatch, never the value.
        places = [
            f"{'.'.join(map(str, failure['loc']))} {failure['type']}"
            for failure in error.errors(include_input=False, include_url=False)
        ]
        raise UnusableMessageError(", ".join(places)) from None


def error_text(error: BaseException) -> str:
    """Describe an error without its message, which may contain personal data."""
    text = type(error).__name__
    if isinstance(error, ServiceError | UnusableMessageError):
        text = f"{text}: {error}"
    return text.replace("\0", "")[:LONGEST_ERROR]
