"""The worker and the scheduler processes: what each opens, runs and closes."""

import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime
from uuid import UUID, uuid5

import anyio
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from ..core.database.dialect import upsert
from ..core.database.session import open_engine
from ..core.http_client.client import open_http_client
from ..core.outbox.handlers import Handlers, Schedule
from ..core.outbox.models import OutboxMessage
from ..core.outbox.patience import pause, retry_while_unavailable
from ..core.outbox.relay import Relay
from ..core.outbox.runner import Runner
from ..settings import Settings
from .engine import consume, open_publisher, schedule
from .instruments import watching_clock, watching_jobs

log = structlog.stdlib.get_logger(__name__)

SCHEDULED = UUID("3f3c1d3e-8f43-4d1e-9f0c-5b1f6a0f7a55")
"""The UUID namespace of scheduled messages: arbitrary, but it must never change."""


class Stop:
    """Stops the process: the first signal gracefully, the second at once."""

    def __init__(self) -> None:
        """Start without a signal."""
        self.stopping = anyio.Event()
        self.hurrying = anyio.Event()

    async def listen(self, signals: AsyncIterator[signal.Signals]) -> None:
        """Listen for signals."""
        async for _ in signals:
            if self.stopping.is_set():
                self.hurrying.set()
            log.info("stop_requested")
            self.stopping.set()


async def run_until_stopped(main: Callable[[Stop], Awaitable[None]]) -> None:
    """Run a function that returns some time after a signal."""
    stop = Stop()
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as group:
            group.start_soon(stop.listen, signals)
            await main(stop)
            group.cancel_scope.cancel()


async def work(settings: Settings, handlers: Handlers, stop: Stop) -> None:
    """Run jobs and publish messages.

    Once ``stopping`` is set, it begins no more jobs; those that run may end, or are
    released after ``SHUTDOWN_SECONDS``.
    """
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_engine(settings))
        http = await stack.enter_async_context(open_http_client(settings))
        watching = watching_jobs(settings, engine, http)
        instruments = await stack.enter_async_context(watching)
        publish = await stack.enter_async_context(open_publisher(settings))
        runner = Runner(engine, http, settings, handlers, instruments)

        async def limit_stop() -> None:
            await stop.stopping.wait()
            await pause(stop.hurrying, settings.shutdown_seconds)
            runner.give_back()

        relaying = await stack.enter_async_context(anyio.create_task_group())
        relaying.start_soon(Relay(engine, publish, settings).run, stop.stopping)
        limiting = await stack.enter_async_context(anyio.create_task_group())
        limiting.start_soon(limit_stop)
        log.info("worker_started", jobs=sorted(handlers.by_name))
        await consume(settings, runner.run, stop.stopping)
        limiting.cancel_scope.cancel()
    log.info("worker_stopped")


async def keep_time(settings: Settings, handlers: Handlers, stop: Stop) -> None:
    """Add scheduled messages to the outbox when they are due."""
    async with open_engine(settings) as engine, watching_clock(settings, engine):

        async def enqueue(entry: Schedule, minute: datetime) -> None:
            async def store() -> bool:
                return await add_scheduled(engine, entry, minute)

            is_new = await retry_while_unavailable(store, stop.stopping)
            log.info("message_scheduled", message=entry.message.name, is_new=is_new)

        log.info("scheduler_started", schedules=len(handlers.schedules))
        await schedule(settings, handlers.schedules, enqueue, stop.stopping)
    log.info("scheduler_stopped")


async def add_scheduled(engine: AsyncEngine, entry: Schedule, minute: datetime) -> bool:
    """Add a scheduled message, and return whether this was the first to do so.

    Its id is derived from its content and its minute, so that several schedulers, or a
    restarted one, add it once.
    """
    payload = entry.message.model_dump(mode="json")
    what = [entry.message.name, entry.cron, payload, minute.isoformat()]
    insert = (
        upsert(OutboxMessage)
        .values(
            id=uuid5(SCHEDULED, json.dumps(what)),
            name=entry.message.name,
            payload=payload,
            context={},
        )
        .on_conflict_do_nothing()
        .returning(OutboxMessage.id)
    )
    async with engine.begin() as connection:
        return await connection.scalar(insert) is not None
