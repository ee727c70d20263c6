"""Dead letters: messages whose jobs failed for good, to be listed and replayed."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from .models import OutboxMessage


class DeadLetters:
    """Lists and replays dead letters, within one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        """Work in this session's transaction."""
        self._session = session

    async def list_newest(self, limit: int) -> Sequence[OutboxMessage]:
        """Return at most ``limit`` dead letters, the latest failure first."""
        newest = (
            select(OutboxMessage)
            .where(OutboxMessage.failed_at.is_not(None))
            .order_by(OutboxMessage.failed_at.desc())
        )
        rows = await self._session.scalars(newest.limit(limit))
        return rows.all()

    async def replay(self, message_ids: Collection[UUID] | None = None) -> set[UUID]:
        """Reset dead letters for delivery, and return the ids of those that were reset.

        Args:
            message_ids: The ids of the messages; by default all.
        """
        replay = update(OutboxMessage).where(OutboxMessage.failed_at.is_not(None))
        if message_ids is not None:
            replay = replay.where(OutboxMessage.id.in_(message_ids))
        replayed = await self._session.scalars(
            replay.values(
                available_at=func.now(),
                publications=0,
                attempts=0,
                failed_at=None,
                error=None,
            ).returning(OutboxMessage.id)
        )
        return set(replayed)
