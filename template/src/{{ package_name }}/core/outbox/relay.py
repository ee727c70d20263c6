"""Carries the ids of messages that are due from the outbox to the broker.

Every worker has a relay; any number of them share the work. A row is first marked as
published and then published, so that the worker who gets the id never meets a row that
the relay still holds. What the broker did not take is unmarked; what it has lost, or
what a relay died over, is due again after ``JOBS_REDELIVERY_SECONDS``.
"""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import anyio
import structlog
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from ..errors import UnavailableError
from ..settings import ServiceSettings
from .models import IS_OPEN, OutboxMessage, seconds_from_now
from .patience import PAUSE_SECONDS, SILENCE, Outage, pause

log = structlog.stdlib.get_logger(__name__)

BATCH = 100
"""How many messages are published between two transactions."""

LONGEST_SECONDS = 3600
"""A message that nobody does is published at least that often."""

MOST_DOUBLINGS = 12

Publish = Callable[[UUID], Awaitable[None]]
"""Hands the id of a message to the broker, or raises ``BrokerUnavailableError``."""


class BrokerUnavailableError(UnavailableError):
    """The broker does not answer, or not in time."""

    def __init__(self) -> None:
        """Say so without a host or a key."""
        super().__init__("The broker does not answer.")


class Relay:
    """Publishes what is due, and leaves what cannot be published for later."""

    def __init__(
        self, engine: AsyncEngine, publish: Publish, settings: ServiceSettings
    ) -> None:
        """Take where messages are, and where their ids go."""
        self._engine = engine
        self._publish = publish
        self._settings = settings

    async def run(self, stopping: anyio.Event) -> None:
        """Publish until it is told to stop; outages are waited for."""
        database, broker = Outage("database"), Outage("broker")
        batch = BATCH
        while not stopping.is_set():
            seconds = self._settings.jobs_poll_seconds
            try:
                published = await self.publish_due(batch)
            except SILENCE as error:
                database.begin(error)
                seconds = PAUSE_SECONDS
            except BrokerUnavailableError as error:
                database.end()
                broker.begin(error)
                # Until it answers, one message finds out; the others stay as they are.
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
        """Publish some of the messages that are due, and return how many.

        Raises:
            BrokerUnavailableError: the broker did not take all of them.
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
        # As a common table expression, it is evaluated once; as a subquery, PostgreSQL
        # may evaluate it again, and then lock and mark more than it says.
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
        # What an UPDATE returns comes in no order.
        return [row.id for row in sorted(rows, key=lambda row: row.created_at)]

    async def _unmark(self, message_ids: Sequence[UUID]) -> None:
        # One that was late to be taken may have arrived, and be begun: it is left alone.
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
