"""taskiq: carries ids of messages to workers through a Redis stream, and tells time.

The stream is a way to wake workers up, and nothing is kept in it that the outbox has
not: it may be trimmed, emptied or lost with its Redis. The rows say what is to be done.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import anyio
from redis.exceptions import RedisError
from taskiq import (
    AckableMessage,
    AcknowledgeType,
    Context,
    InMemoryBroker,
    ScheduledTask,
    ScheduleSource,
    TaskiqDepends,
    TaskiqScheduler,
)
from taskiq.api import run_scheduler_task
from taskiq.exceptions import SendTaskError
from taskiq.receiver import Receiver
from taskiq_redis import RedisStreamBroker

from ..core.outbox.handlers import Schedule
from ..core.outbox.patience import PAUSE_SECONDS, Outage
from ..core.outbox.relay import BrokerUnavailableError, Publish
from ..core.settings import ServiceSettings

TASK = "run"
WORKERS = "workers"

BLOCK_SECONDS = 2
"""How long Redis holds a question for new messages before it says that there are none."""

KEPT_IN_STREAM = 100_000
"""Roughly how many ids the stream keeps, done ones included: about 20 MB."""

# Named, because formatting for Python 3.14 drops parentheses that 3.11 needs.
SILENCE = (RedisError, OSError)
NOT_SENT = (SendTaskError, TimeoutError)


class PatientBroker(RedisStreamBroker):
    """A broker whose listener outlives Redis, and everything that was in it."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Use the settings' Redis; this connects to nothing."""
        super().__init__(
            settings.redis_url.get_secret_value(),
            queue_name=f"{settings.redis_prefix}:jobs",
            consumer_group_name=WORKERS,
            # All workers go by one name, so that none leaves its own behind.
            consumer_name=WORKERS,
            # A group that has to be made anew takes what came before it, too.
            consumer_id="0",
            maxlen=KEPT_IN_STREAM,
            xread_block=BLOCK_SECONDS * 1000,
            # What is fetched and not begun would wait here while others are idle.
            xread_count=1,
            # One connection listens; the others publish and acknowledge.
            max_connection_pool_size=settings.jobs_concurrency + 2,
            socket_timeout=BLOCK_SECONDS + settings.redis_seconds,
            socket_connect_timeout=settings.redis_seconds,
        )

    async def listen(self) -> AsyncGenerator[AckableMessage]:
        """Give messages for ever, with a pause whenever Redis does not answer."""
        outage = Outage("broker")
        while True:
            try:
                await self.startup()
                async with aclosing(super().listen()) as messages:
                    async for message in messages:
                        outage.end()
                        yield message
            except SILENCE as error:
                outage.begin(error)
                await anyio.sleep(PAUSE_SECONDS)


class OutboxScheduler(TaskiqScheduler):
    """Writes to the outbox what is due, where taskiq would send it to the broker."""

    def __init__(
        self,
        entries: Sequence[Schedule],
        enqueue: Callable[[Schedule, datetime], Awaitable[None]],
    ) -> None:
        """Take what is to be sent when."""
        self._entries = {str(number): entry for number, entry in enumerate(entries)}
        self._enqueue = enqueue
        # Its broker is asked for nothing.
        super().__init__(InMemoryBroker(), [FixedSource(self._entries)])

    async def on_ready(self, source: ScheduleSource, task: ScheduledTask) -> None:
        """Write the message that is due in this minute."""
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        await self._enqueue(self._entries[task.schedule_id], minute)


class FixedSource(ScheduleSource):
    """The schedules that the code states."""

    def __init__(self, entries: dict[str, Schedule]) -> None:
        """Take them by the names that they go by here."""
        self._tasks = [
            ScheduledTask(
                task_name=entry.message.name,
                labels={},
                args=[],
                kwargs={},
                schedule_id=schedule_id,
                cron=entry.cron,
            )
            for schedule_id, entry in entries.items()
        ]

    async def get_schedules(self) -> list[ScheduledTask]:
        """Give all of them."""
        return self._tasks


@asynccontextmanager
async def open_publisher(settings: ServiceSettings) -> AsyncIterator[Publish]:
    """Give what hands ids to the broker; this connects to nothing."""
    broker = PatientBroker(settings)
    task = broker.register_task(_do_nothing, TASK)

    async def publish(message_id: UUID) -> None:
        name = str(message_id)
        try:
            with anyio.fail_after(settings.redis_seconds):
                await task.kicker().with_task_id(name).kiq(name)
        except NOT_SENT as error:
            raise BrokerUnavailableError from error

    try:
        yield publish
    finally:
        await broker.shutdown()


async def _do_nothing(message_id: str) -> None:
    """Stand for the task where it is sent."""


async def consume(
    settings: ServiceSettings,
    run: Callable[[UUID], Awaitable[None]],
    stopping: anyio.Event,
) -> None:
    """Run what arrives, some at a time, until it is told to stop and they have ended."""
    # Every delivery would otherwise be a line, beside those of its job.
    logging.getLogger("taskiq").setLevel(logging.WARNING)
    broker = PatientBroker(settings)

    async def deliver(
        message_id: str, delivery: Annotated[Context, TaskiqDepends()]
    ) -> None:
        try:
            await run(UUID(message_id))
        finally:
            # Unacknowledged, it would be delivered again, and then be skipped.
            with suppress(*SILENCE):
                await delivery.ack()

    broker.register_task(deliver, TASK)
    receiver = Receiver(
        broker,
        max_async_tasks=settings.jobs_concurrency,
        run_startup=False,
        ack_type=AcknowledgeType.MANUAL,
    )
    finish = asyncio.Event()

    async def finish_when_stopping() -> None:
        await stopping.wait()
        finish.set()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(finish_when_stopping)
            await receiver.listen(finish)
            group.cancel_scope.cancel()
    finally:
        await broker.shutdown()


async def schedule(
    settings: ServiceSettings,
    entries: Sequence[Schedule],
    enqueue: Callable[[Schedule, datetime], Awaitable[None]],
    stopping: anyio.Event,
) -> None:
    """Have messages written when they are due, until it is told to stop."""
    logging.getLogger("taskiq").setLevel(logging.WARNING)
    async with anyio.create_task_group() as group:
        group.start_soon(run_scheduler_task, OutboxScheduler(entries, enqueue))
        await stopping.wait()
        group.cancel_scope.cancel()
