"""Trials in the database."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from order_service.core.database.models import utc_now
from order_service.core.http.pagination import Cursor

from .models import Trial


class StoredTrials:
    """Reads and writes one caller's trials within one transaction."""

    def __init__(self, session: AsyncSession, caller: str) -> None:
        """Work in this session's transaction."""
        self._session = session
        self._caller = caller

    async def get(self, trial_id: UUID) -> Trial | None:
        """Return the trial with this id, or ``None``."""
        trial = await self._session.get(Trial, trial_id)
        return trial if trial and trial.caller == self._caller else None

    async def list_newest(self, limit: int, after: Cursor | None) -> Sequence[Trial]:
        """Return at most ``limit`` trials, newest first, from after a cursor."""
        newest = select(Trial).where(Trial.caller == self._caller)
        newest = newest.order_by(Trial.created_at.desc(), Trial.id.desc())
        if after is not None:
            last = tuple_(after.created_at, after.id)
            newest = newest.where(tuple_(Trial.created_at, Trial.id) < last)
        return (await self._session.scalars(newest.limit(limit))).all()

    async def add(self, content: dict[str, object]) -> Trial:
        """Store a new trial."""
        trial = Trial(caller=self._caller, **content)
        self._session.add(trial)
        await self._session.flush()
        return trial

    async def update(self, trial: Trial, changes: dict[str, object]) -> Trial:
        """Store a changed trial as a new version, even if its content is the same."""
        for name, value in changes.items():
            setattr(trial, name, value)
        trial.updated_at = utc_now()
        await self._session.flush()
        return trial

    async def delete(self, trial: Trial) -> None:
        """Remove a trial."""
        await self._session.delete(trial)
        await self._session.flush()
