"""Queries for refresh tokens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from .models import RefreshToken


class RefreshTokenRepository:
    """Reads and writes refresh tokens within one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, token: RefreshToken) -> None:
        """Store a new token."""
        self._session.add(token)
        await self._session.flush()

    async def get_by_digest(self, digest: str) -> RefreshToken | None:
        """Return the token with this digest, or ``None``."""
        return await self._session.scalar(
            select(RefreshToken).where(RefreshToken.digest == digest)
        )

    async def claim(self, token: RefreshToken, now: datetime) -> bool:
        """Mark a token as used; of several concurrent requests only one succeeds."""
        claimed = await self._session.scalar(
            update(RefreshToken)
            .where(RefreshToken.id == token.id)
            .where(RefreshToken.used_at.is_(None), RefreshToken.revoked_at.is_(None))
            .values(used_at=now)
            .returning(RefreshToken.id)
            # The row may have changed since it was read.
            .execution_options(synchronize_session=False)
        )
        return claimed is not None

    async def revoke_family(self, family_id: UUID, now: datetime) -> None:
        """Revoke every token that descends from one sign-in."""
        await self._session.execute(
            update(RefreshToken)
            .where(RefreshToken.family_id == family_id)
            .where(RefreshToken.revoked_at.is_(None))
            .values(revoked_at=now)
        )

    async def delete_expired(self, user_id: UUID, now: datetime) -> None:
        """Delete a user's expired tokens."""
        await self._session.execute(
            delete(RefreshToken)
            .where(RefreshToken.user_id == user_id)
            .where(RefreshToken.expires_at < now)
        )
