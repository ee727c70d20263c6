"""taskiq: sends ids of messages to workers by a Redis stream, and runs the schedule.

The stream only wakes workers up. It holds nothing that the outbox has not: it may be
trimmed, emptied or lost with Redis. The rows of the outbox are the truth.
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
"""How long a blocking read waits in Redis for new messages."""

KEPT_IN_STREAM = 100_000
"""About how many ids the stream holds, including done ones: about 20 MB."""

BROKER_ERRORS = (RedisError, OSError)
SEND_ERRORS = (SendTaskError, TimeoutError)


class ReconnectingBroker(RedisStreamBroker):
    """A broker whose listener survives outages of Redis and the loss of its data."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Use the Redis of the settings; this does not connect."""
        super().__init__(
            settings.redis_url.get_secret_value(),
            queue_name=f"{settings.redis_prefix}:jobs",
            consumer_group_name=WORKERS,
            # All workers share one consumer name, so that none leaves a stale one
            # behind.
            consumer_name=WORKERS,
            # A consumer group that is created again also reads older messages.
            consumer_id="0",
            maxlen=KEPT_IN_STREAM,
            xread_block=BLOCK_SECONDS * 1000,
            # A message that is prefetched would wait here while other workers are idle.
            xread_count=1,
            # One connection listens; the others publish and acknowledge.
            max_connection_pool_size=settings.jobs_concurrency + 2,
            socket_timeout=BLOCK_SECONDS + settings.redis_seconds,
            socket_connect_timeout=settings.redis_seconds,
        )

    async def listen(self) -> AsyncGenerator[AckableMessage]:
        """Yield messages for ever, with a pause while Redis is unavailable."""
        outage = Outage("broker")
        while True:
            try:
                await self.startup()
                async with aclosing(super().listen()) as messages:
                    async for message in messages:
                        outage.end()
                        yield message
            except BROKER_ERRORS as error:
                outage.begin(error)
                await anyio.sleep(PAUSE_SECONDS)


class OutboxScheduler(TaskiqScheduler):
    """Writes due messages to the outbox, where taskiq would send them to the broker."""

    def __init__(
        self,
        entries: Sequence[Schedule],
        enqueue: Callable[[Schedule, datetime], Awaitable[None]],
    ) -> None:
        """Schedule these entries."""
        self._entries = {str(number): entry for number, entry in enumerate(entries)}
        self._enqueue = enqueue
        # Its broker is not used.
        super().__init__(InMemoryBroker(), [FixedSource(self._entries)])

    async def on_ready(self, source: ScheduleSource, task: ScheduledTask) -> None:
        """Add the message that is due in this minute."""
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        await self._enqueue(self._entries[task.schedule_id], minute)


class FixedSource(ScheduleSource):
    """The schedules that are defined in code."""

    def __init__(self, entries: dict[str, Schedule]) -> None:
        """Store the entries by their ids."""
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
        """Return all schedules."""
        return self._tasks


@asynccontextmanager
async def open_publisher(settings: ServiceSettings) -> AsyncIterator[Publish]:
    """Yield the function that publishes ids to the broker; this does not connect."""
    broker = ReconnectingBroker(settings)
    task = broker.register_task(_do_nothing, TASK)

    async def publish(message_id: UUID) -> None:
        name = str(message_id)
        try:
            with anyio.fail_after(settings.redis_seconds):
                await task.kicker().with_task_id(name).kiq(name)
        except SEND_ERRORS as error:
            raise BrokerUnavailableError from error

    try:
        yield publish
    finally:
        await broker.shutdown()


async def _do_nothing(message_id: str) -> None:
    """Define the task for the publisher, which never runs it."""


async def consume(
    settings: ServiceSettings,
    run: Callable[[UUID], Awaitable[None]],
    stopping: anyio.Event,
) -> None:
    """Run the jobs of received ids until ``stopping`` is set and they have ended."""
    # Otherwise each delivery logs a line, in addition to those of its job.
    logging.getLogger("taskiq").setLevel(logging.WARNING)
    broker = ReconnectingBroker(settings)

    async def deliver(
        message_id: str, delivery: Annotated[Context, TaskiqDepends()]
    ) -> None:
        try:
            await run(UUID(message_id))
        finally:
            # Without an acknowledgement, it would be delivered again, and then be
            # skipped.
            with suppress(*BROKER_ERRORS):
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
    """Add messages to the outbox when they are due, until ``stopping`` is set."""
    logging.getLogger("taskiq").setLevel(logging.WARNING)
    async with anyio.create_task_group() as group:
        group.start_soon(run_scheduler_task, OutboxScheduler(entries, enqueue))
        await stopping.wait()
        group.cancel_scope.cancel()
