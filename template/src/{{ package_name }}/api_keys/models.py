"""The table of API keys."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from ..core.database.models import Base, Record


class Scope(StrEnum):
    """The permissions of a key: one scope to read a feature and one to change it."""

    ITEMS_READ = "items:read"
    ITEMS_WRITE = "items:write"
    # Your own scopes go below this line.


class ApiKey(Record, Base):
    """A key that acts as its owner; only a digest of its secret is stored."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "owner_id", "created_at", "id"),)

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(120))
    prefix: Mapped[str] = mapped_column(String(12), unique=True)
    """The public part, by which the key is found."""
    digest: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]

    def is_usable(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired."""
        has_expired = self.expires_at is not None and self.expires_at <= now
        return self.revoked_at is None and not has_expired
