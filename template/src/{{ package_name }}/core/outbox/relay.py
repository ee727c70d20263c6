"""Publishes the ids of messages that are due from the outbox to the broker.

Every worker has a relay; any number of them share the work. A row is first marked as
published and then published, so that the worker that receives the id never finds the
row locked by the relay. If the broker refuses an id, its row is unmarked; if the broker
loses it, or the relay crashes, it is due again after ``JOBS_REDELIVERY_SECONDS``
(at-least-once delivery).
"""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import anyio
import structlog
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from ..errors import UnavailableError
from .models import IS_OPEN, OutboxMessage, seconds_from_now
from .patience import DATABASE_ERRORS, PAUSE_SECONDS, Outage, pause
from .settings import JobSettings

log = structlog.stdlib.get_logger(__name__)

BATCH = 100
"""The number of messages that are published between two transactions."""

LONGEST_SECONDS = 3600
"""The longest interval between two publications of a message that no worker begins."""

MOST_DOUBLINGS = 12

Publish = Callable[[UUID], Awaitable[None]]
"""Sends the id of a message to the broker, or raises ``BrokerUnavailableError``."""


class BrokerUnavailableError(UnavailableError):
    """The broker does not respond, or times out."""

    def __init__(self) -> None:
        """Name neither a host nor a key."""
        super().__init__("The broker does not respond.")


class Relay:
    """Publishes due messages; those that cannot be published stay due for later."""

    def __init__(
        self, engine: AsyncEngine, publish: Publish, settings: JobSettings
    ) -> None:
        """Read from this database, and publish with this function."""
        self._engine = engine
        self._publish = publish
        self._settings = settings

    async def run(self, stopping: anyio.Event) -> None:
        """Publish until ``stopping`` is set; during an outage, wait."""
        database, broker = Outage("database"), Outage("broker")
        batch = BATCH
        while not stopping.is_set():
            seconds = self._settings.jobs_poll_seconds
            try:
                published = await self.publish_due(batch)
            except DATABASE_ERRORS as error:
                database.begin(error)
                seconds = PAUSE_SECONDS
            except BrokerUnavailableError as error:
                database.end()
                broker.begin(error)
                # During an outage, one message is the probe; the others stay due.
                batch, seconds = 1, PAUSE_SECONDS
            else:
                database.end()
                if published:
                    broker.end()
                if published == batch:
                    batch, seconds = BATCH, 0
            if seconds:
                await pause(stopping, seconds)

    async def publish_due(self, most: int = BATCH) -> int:
        """Publish one batch of due messages, and return its size.

        Raises:
            BrokerUnavailableError: the broker refused some of them.
        """
        due = await self._mark(most)
        for position, message_id in enumerate(due):
            try:
                await self._publish(message_id)
            except BrokerUnavailableError:
                await self._unmark(due[position:])
                raise
        return len(due)

    async def _mark(self, most: int) -> Sequence[UUID]:
        # A common table expression is evaluated once. PostgreSQL may evaluate a
        # subquery again, and then lock and mark more rows than its LIMIT.
        due = (
            select(OutboxMessage.id)
            .where(IS_OPEN, OutboxMessage.available_at <= func.now())
            .order_by(OutboxMessage.available_at)
            .limit(most)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        doublings = func.least(OutboxMessage.publications, MOST_DOUBLINGS)
        seconds = self._settings.jobs_redelivery_seconds * func.power(2, doublings)
        mark = (
            update(OutboxMessage)
            .where(OutboxMessage.id.in_(select(due.c.id)))
            .values(
                publications=OutboxMessage.publications + 1,
                available_at=seconds_from_now(func.least(seconds, LONGEST_SECONDS)),
            )
            .returning(OutboxMessage.created_at, OutboxMessage.id)
        )
        async with self._engine.begin() as connection:
            rows = (await connection.execute(mark)).all()
        # RETURNING has no order.
        return [row.id for row in sorted(rows, key=lambda row: row.created_at)]

    async def _unmark(self, message_ids: Sequence[UUID]) -> None:
        # An id that timed out may have arrived after all, and its job have begun: leave
        # its row unchanged.
        untouched = (
            select(OutboxMessage.id)
            .where(
                IS_OPEN,
                OutboxMessage.id.in_(message_ids),
                OutboxMessage.publications > 0,
            )
            .with_for_update(skip_locked=True)
            .cte("untouched")
        )
        unmark = (
            update(OutboxMessage)
            .where(OutboxMessage.id.in_(select(untouched.c.id)))
            .values(
                publications=OutboxMessage.publications - 1,
                available_at=func.now(),
            )
        )
        async with self._engine.begin() as connection:
            await connection.execute(unmark)
