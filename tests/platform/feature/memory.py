"""Trials of a service without a database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from order_service.core.http.pagination import Cursor


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Trial:
    """A name, a note and an amount that belong to one caller."""

    caller: str
    name: str
    note: str
    amount: int
    id: UUID = field(default_factory=uuid4)
    created_at: datetime = field(default_factory=_now)
    updated_at: datetime = field(default_factory=_now)
    version: int = 1


class MemoryTrials:
    """Keeps one caller's trials in memory."""

    def __init__(self, rows: dict[UUID, Trial], caller: str) -> None:
        """Use the rows of the application."""
        self._rows = rows
        self._caller = caller

    async def get(self, trial_id: UUID) -> Trial | None:
        """Return the trial with this id, or ``None``."""
        row = self._rows.get(trial_id)
        return row if row and row.caller == self._caller else None

    async def list_newest(self, limit: int, after: Cursor | None) -> Sequence[Trial]:
        """Return at most ``limit`` trials, newest first, from after a cursor."""
        rows = [row for row in self._rows.values() if row.caller == self._caller]
        rows.sort(key=lambda row: (row.created_at, row.id), reverse=True)
        if after is not None:
            rows = [row for row in rows if (row.created_at, row.id) < (after.created_at, after.id)]
        return rows[:limit]

    async def add(self, content: dict[str, object]) -> Trial:
        """Store a new trial."""
        row = Trial(caller=self._caller, **content)  # type: ignore[arg-type]
        self._rows[row.id] = row
        return row

    async def update(self, trial: Trial, changes: dict[str, object]) -> Trial:
        """Store a changed trial as a new version."""
        for name, value in changes.items():
            setattr(trial, name, value)
        trial.version += 1
        trial.updated_at = _now()
        return trial

    async def delete(self, trial: Trial) -> None:
        """Remove a trial."""
        del self._rows[trial.id]
