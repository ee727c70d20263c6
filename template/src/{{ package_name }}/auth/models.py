"""The table of refresh tokens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from ..core.database.models import Base, Record


class RefreshToken(Record, Base):
    """A token that can be exchanged once for a new pair; only its digest is stored."""

    __tablename__ = "refresh_tokens"

    digest: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    family_id: Mapped[UUID] = mapped_column(index=True)
    """Shared by all tokens that descend from one sign-in."""
    credentials_version: Mapped[int]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
