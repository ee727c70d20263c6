"""Queries for security events, which are inserted and never updated."""

from sqlalchemy.ext.asyncio import AsyncSession

from .models import AuditEvent


class AuditRepository:
    """Writes security events within one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        """Work in this session's transaction."""
        self._session = session

    async def add(self, event: AuditEvent) -> None:
        """Store an event."""
        self._session.add(event)
        await self._session.flush()
