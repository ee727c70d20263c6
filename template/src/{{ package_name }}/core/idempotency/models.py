"""The table of idempotency keys."""

from datetime import datetime

from sqlalchemy import JSON, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ..database.models import Base


class IdempotencyKey(Base):
    """The key of a creation, and the response to it."""

    __tablename__ = "idempotency_keys"

    caller: Mapped[str] = mapped_column(String(64), primary_key=True)
    """The client that sent the key: the same key of another one is another key."""
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    """A digest of the request, to distinguish a retry from a reused key."""
    expires_at: Mapped[datetime] = mapped_column(index=True)
    status: Mapped[int | None]
    """Empty until the response is known; no other transaction ever sees that."""
    headers: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    body: Mapped[str | None] = mapped_column(Text)
