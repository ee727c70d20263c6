"""The table of messages, each of which stays until its job is done, and a while longer."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, ColumnElement, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from ..database.session import Base
from .messages import LONGEST_NAME


class OutboxMessage(Base):
    """A message, and how far its job has come.

    Moments are the database's, so that clocks of several machines cannot disagree.
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
    """Where it comes from, such as the id of the request that wrote it."""
    created_at: Mapped[datetime] = mapped_column(default=func.now())
    available_at: Mapped[datetime] = mapped_column(default=func.now())
    """When it is published next: at once, after a failure later, and after it was
    published again, in case that nobody does its job."""
    publications: Mapped[int] = mapped_column(default=0)
    """How often it was published since it was last begun. An id that arrives without
    one is a late copy."""
    attempts: Mapped[int] = mapped_column(default=0)
    """How often its job was begun."""
    done_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    """When it was given up: from then on it is a dead letter."""
    error: Mapped[str | None] = mapped_column(String(500))
    """Why the last attempt failed: what kind of error, without anybody's data."""


IS_OPEN = OutboxMessage.done_at.is_(None) & OutboxMessage.failed_at.is_(None)
"""Neither done nor given up."""


def seconds_from_now(seconds: float | ColumnElement[Any]) -> ColumnElement[datetime]:
    """Give a moment of the database's clock, as an expression."""
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
