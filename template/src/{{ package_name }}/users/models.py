"""The table of users."""

from enum import StrEnum

from sqlalchemy import Enum, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from ..core.database.models import Base, Record


class Role(StrEnum):
    """The permissions of a user beyond their own data."""

    USER = "user"
    ADMIN = "admin"


ROLE_COLUMN = Enum(
    Role,
    name="role",
    values_callable=lambda roles: [role.value for role in roles],
    # Text and a check constraint: a native type would need a special migration for
    # each further role.
    native_enum=False,
    create_constraint=True,
    length=16,
)


class User(Record, Base):
    """A person who can sign in."""

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
    """Increases with each new password; tokens of earlier versions are refused."""
