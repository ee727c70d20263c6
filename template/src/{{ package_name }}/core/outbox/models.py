"""The table of messages, each of which stays until its job is done and its TTL ends."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, ColumnElement, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from ..database.models import Base
from .messages import LONGEST_NAME


class OutboxMessage(Base):
    """A message and the state of its job.

    Timestamps use the database's clock, so that clock skew between machines has no
    effect.
    """

    __tablename__ = "outbox_messages"
    __table_args__ = (
        Index(
            None,
            "available_at",
            postgresql_where=text("done_at IS NULL AND failed_at IS NULL"),
        ),
        Index(None, "failed_at", postgresql_where=text("failed_at IS NOT NULL")),
        Index(None, "done_at", postgresql_where=text("done_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(LONGEST_NAME))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    context: Mapped[dict[str, str]] = mapped_column(JSON)
    """The ids of the request and trace that wrote it."""
    created_at: Mapped[datetime] = mapped_column(default=func.now())
    available_at: Mapped[datetime] = mapped_column(default=func.now())
    """When it is due for delivery: at once, after a failed attempt with backoff, and
    again if no worker begins its job."""
    publications: Mapped[int] = mapped_column(default=0)
    """How often it was published since its job last began. An id that arrives while
    this is 0 is a late duplicate."""
    attempts: Mapped[int] = mapped_column(default=0)
    """The number of attempts so far."""
    done_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    """When the last attempt failed: from then on it is a dead letter."""
    error: Mapped[str | None] = mapped_column(String(500))
    """Why the last attempt failed: the type of error, without personal data."""


IS_OPEN = OutboxMessage.done_at.is_(None) & OutboxMessage.failed_at.is_(None)
"""Neither done nor a dead letter."""


def seconds_from_now(seconds: float | ColumnElement[Any]) -> ColumnElement[datetime]:
    """Return a time by the database's clock, as an expression."""
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
