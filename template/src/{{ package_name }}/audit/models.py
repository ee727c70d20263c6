"""The table of security events."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from ..core.database.models import Base, utc_now


class AuditEvent(Base):
    """One event. It holds ids only, no personal data such as e-mail or IP addresses.

    Ids have no foreign keys: the event stays after its user is deleted, and the id then
    refers to no record.
    """

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "user_id", "created_at"), Index(None, "created_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    # Plain text, so that adding your own kind of event needs no migration.
    event: Mapped[str] = mapped_column(String(40))
    user_id: Mapped[UUID | None]
    """The account it is about; empty if no account has the address that was given."""
    subject_id: Mapped[UUID | None]
    """The API key or the refresh token family that it is about."""
    request_id: Mapped[str | None] = mapped_column(String(64))
    """Identifies the request's log lines; empty for a command."""
