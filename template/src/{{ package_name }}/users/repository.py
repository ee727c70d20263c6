"""Queries for users."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from ..core.http.pagination import Cursor
from .models import Role, User


class UserRepository:
    """Reads and writes users within one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, user_id: UUID) -> User | None:
        """Return the user with this id, or ``None``."""
        return await self._session.get(User, user_id)

    async def get_role(self, user_id: UUID, credentials_version: int) -> Role | None:
        """Return the role of an active user whose credentials have this version."""
        return await self._session.scalar(
            select(User.role).where(
                User.id == user_id,
                User.is_active,
                User.credentials_version == credentials_version,
            )
        )

    async def get_by_email(self, email: str) -> User | None:
        """Return the user with this address, or ``None``."""
        return await self._session.scalar(select(User).where(User.email == email))

    async def list_newest(self, limit: int, after: Cursor | None) -> Sequence[User]:
        """Return at most ``limit`` users after the cursor, newest first."""
        newest = select(User).order_by(User.created_at.desc(), User.id.desc())
        if after is not None:
            last = tuple_(after.created_at, after.id)
            newest = newest.where(tuple_(User.created_at, User.id) < last)
        rows = await self._session.scalars(newest.limit(limit))
        return rows.all()

    async def add(self, user: User) -> User:
        """Store a new user."""
        self._session.add(user)
        await self._session.flush()
        return user

    async def save(self, user: User) -> User:
        """Store changes of a user."""
        await self._session.flush()
        return user
