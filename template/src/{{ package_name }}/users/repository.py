"""Queries for users."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from .models import User


class UserRepository:
    """Reads and writes users within one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        """Work in this session's transaction."""
        self._session = session

    async def get(self, user_id: UUID) -> User | None:
        """Return the user with this id, or ``None``."""
        return await self._session.get(User, user_id)

    async def get_by_email(self, email: str) -> User | None:
        """Return the user with this address, or ``None``."""
        return await self._session.scalar(select(User).where(User.email == email))

    async def add(self, user: User) -> User:
        """Store a new user."""
        self._session.add(user)
        await self._session.flush()
        return user

    async def save(self, user: User) -> User:
        """Store what has changed."""
        await self._session.flush()
        return user
