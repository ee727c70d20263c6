"""The tables that the core itself needs."""

from datetime import datetime

from sqlalchemy import JSON, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ..database.session import Base


class IdempotencyKey(Base):
    """A creation that was carried out, and how it was answered."""

    __tablename__ = "idempotency_keys"

    caller: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Who sent the key: the same one from somebody else is another key."""
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    """A digest of the request, to tell a repetition from a mistake."""
    expires_at: Mapped[datetime] = mapped_column(index=True)
    status: Mapped[int | None]
    """Empty until the answer is known, which no other transaction ever sees."""
    headers: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    body: Mapped[str | None] = mapped_column(Text)
