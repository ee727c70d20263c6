"""The table of security events."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from ..core.database.session import Base, utc_now


class SecurityEvent(StrEnum):
    """What is worth remembering about accounts and credentials."""

    REGISTERED = "registered"
    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    TOKEN_REUSED = "token_reused"  # noqa: S105
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    DEACTIVATED = "deactivated"
    API_KEY_CREATED = "api_key_created"
    API_KEY_REVOKED = "api_key_revoked"
    FORBIDDEN = "forbidden"


class AuditEvent(Base):
    """One event. It names nobody: ids only, no e-mail, no network address.

    Ids are kept without foreign keys: what happened stays known after a user is
    deleted, and then the id leads to nobody.
    """

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "user_id", "created_at"), Index(None, "created_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    # Plain text, so that an event of your own needs no migration.
    event: Mapped[str] = mapped_column(String(40))
    user_id: Mapped[UUID | None]
    """Whose account it is about; none where nobody has that address."""
    subject_id: Mapped[UUID | None]
    """The API key or the family of tokens that it is about."""
    request_id: Mapped[str | None] = mapped_column(String(64))
    """Leads to the log lines of the request; none for a command."""
