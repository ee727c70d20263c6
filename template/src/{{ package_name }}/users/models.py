"""The table of users."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from ..core.database import Base, Record


class User(Record, Base):
    """Somebody who can sign in."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(String(254), unique=True)
    full_name: Mapped[str] = mapped_column(String(120))
    password_hash: Mapped[str] = mapped_column(String(255))
    is_active: Mapped[bool] = mapped_column(default=True)
    credentials_version: Mapped[int] = mapped_column(default=1)
    """Counts up when the password changes; tokens of an earlier one are refused."""
