"""The worker and the scheduler: what each opens, runs and closes."""

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
from ..core.outbox.patience import pause, persistently
from ..core.outbox.relay import Relay
from ..core.outbox.runner import Runner
from ..settings import Settings
from .engine import consume, open_publisher, schedule
from .instruments import watching_clock, watching_jobs

log = structlog.stdlib.get_logger(__name__)

SCHEDULED = UUID("3f3c1d3e-8f43-4d1e-9f0c-5b1f6a0f7a55")
"""The space of the ids of scheduled messages: any will do, if it never changes."""


class Stop:
    """How a process is told to end: once in good order, twice in a hurry."""

    def __init__(self) -> None:
        """Go on for now."""
        self.stopping = anyio.Event()
        self.hurrying = anyio.Event()

    async def listen(self, signals: AsyncIterator[signal.Signals]) -> None:
        """Note the signals that arrive."""
        async for _ in signals:
            if self.stopping.is_set():
                self.hurrying.set()
            log.info("stop_requested")
            self.stopping.set()


async def until_told_to_stop(main: Callable[[Stop], Awaitable[None]]) -> None:
    """Run something that ends some time after a signal."""
    stop = Stop()
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as group:
            group.start_soon(stop.listen, signals)
            await main(stop)
            group.cancel_scope.cancel()


async def work(settings: Settings, handlers: Handlers, stop: Stop) -> None:
    """Do jobs and publish messages.

    Once it is told to stop, it begins no more jobs; those that run may end, or are
    given back after ``SHUTDOWN_SECONDS``.
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
    """Put messages into the outbox when the clock says so."""
    async with open_engine(settings) as engine, watching_clock(settings, engine):

        async def enqueue(entry: Schedule, minute: datetime) -> None:
            async def store() -> bool:
                return await add_scheduled(engine, entry, minute)

            is_new = await persistently(store, stop.stopping)
            log.info("message_scheduled", message=entry.message.name, is_new=is_new)

        log.info("scheduler_started", schedules=len(handlers.schedules))
        await schedule(settings, handlers.schedules, enqueue, stop.stopping)
    log.info("scheduler_stopped")


async def add_scheduled(engine: AsyncEngine, entry: Schedule, minute: datetime) -> bool:
    """Write a scheduled message, and tell whether this was the first to do so.

    Its id follows from what it says and when, so that several schedulers, or one that
    was restarted, write it once.
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
