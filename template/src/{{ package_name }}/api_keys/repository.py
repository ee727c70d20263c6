"""Queries for API keys."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from ..core.http.pagination import Cursor
from ..users.models import User
from .models import ApiKey


class ApiKeyRepository:
    """Reads and writes API keys within one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        """Work in this session's transaction."""
        self._session = session

    async def get_with_owner(self, prefix: str) -> tuple[ApiKey, User] | None:
        """Return the key with this prefix and its owner, in one query."""
        found = await self._session.execute(
            select(ApiKey, User)
            .join(User, User.id == ApiKey.owner_id)
            .where(ApiKey.prefix == prefix)
        )
        row = found.one_or_none()
        return None if row is None else (row[0], row[1])

    async def get_own(self, owner_id: UUID, key_id: UUID) -> ApiKey | None:
        """Return the user's key with this id, or ``None``."""
        return await self._session.scalar(
            select(ApiKey).where(ApiKey.id == key_id, ApiKey.owner_id == owner_id)
        )

    async def list_newest(
        self, owner_id: UUID, limit: int, after: Cursor | None
    ) -> Sequence[ApiKey]:
        """Return at most ``limit`` of the user's keys, newest first."""
        newest = (
            select(ApiKey)
            .where(ApiKey.owner_id == owner_id)
            .order_by(ApiKey.created_at.desc(), ApiKey.id.desc())
        )
        if after is not None:
            last = tuple_(after.created_at, after.id)
            newest = newest.where(tuple_(ApiKey.created_at, ApiKey.id) < last)
        rows = await self._session.scalars(newest.limit(limit))
        return rows.all()

    async def add(self, key: ApiKey) -> ApiKey:
        """Store a new key."""
        self._session.add(key)
        await self._session.flush()
        return key

    async def save(self, key: ApiKey) -> ApiKey:
        """Store changes of a key."""
        await self._session.flush()
        return key

    async def mark_used(self, key: ApiKey, now: datetime) -> None:
        """Update the time of last use, unless another request is doing so.

        A row that another transaction has locked is skipped: requests with the same key
        would otherwise wait for each other's transactions.
        """
        free = select(ApiKey.id).where(ApiKey.id == key.id)
        await self._session.execute(
            update(ApiKey)
            .where(ApiKey.id.in_(free.with_for_update(skip_locked=True)))
            # Using a key is not a change of it.
            .values(last_used_at=now, updated_at=ApiKey.updated_at)
            .execution_options(synchronize_session=False)
        )
