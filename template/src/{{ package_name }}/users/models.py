"""The table of users."""

from enum import StrEnum

from sqlalchemy import Enum, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from ..core.database.session import Base, Record


class Role(StrEnum):
    """What somebody may do beyond what is their own."""

    USER = "user"
    ADMIN = "admin"


ROLE_COLUMN = Enum(
    Role,
    name="role",
    values_callable=lambda roles: [role.value for role in roles],
    # Short text and a check constraint: a type of the database's own would take a
    # migration of its own kind for every further role.
    native_enum=False,
    create_constraint=True,
    length=16,
)


class User(Record, Base):
    """Somebody who can sign in."""

    __tablename__ = "users"
    __table_args__ = (Index(None, "created_at", "id"),)

    email: Mapped[str] = mapped_column(String(254), unique=True)
    full_name: Mapped[str] = mapped_column(String(120))
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[Role] = mapped_column(
        ROLE_COLUMN, default=Role.USER, server_default=Role.USER.value
    )
    is_active: Mapped[bool] = mapped_column(default=True)
    credentials_version: Mapped[int] = mapped_column(default=1)
    """Counts up when the password changes; tokens of an earlier one are refused."""
