"""Records security events: a row in the request's transaction, and a log line."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from ..core.errors import ForbiddenError
from ..core.security.events import SecurityEvent, SecurityLog
from .models import AuditEvent
from .repository import AuditRepository


class RecordedForbiddenError(ForbiddenError):
    """A refused request whose security event is committed nevertheless."""

    commit_on_error = True


class AuditLog(SecurityLog):
    """Records security events in a table, in addition to logging them."""

    def __init__(self, events: AuditRepository, request_id: str | None) -> None:
        """Write in this transaction, for a request or, without an id, for a command."""
        self._events = events
        self._request_id = request_id

    async def record(
        self,
        event: str,
        user_id: UUID | None = None,
        subject_id: UUID | None = None,
    ) -> None:
        """Record an event.

        The row is committed with the transaction. A refused request rolls back, unless
        its error sets ``commit_on_error``.
        """
        await self._events.add(
            AuditEvent(
                event=str(event),
                user_id=user_id,
                subject_id=subject_id,
                request_id=self._request_id,
            )
        )
        await super().record(event, user_id, subject_id)

    async def refusal(
        self, message: str, user_id: UUID, subject_id: UUID | None = None
    ) -> ForbiddenError:
        """Record that the user lacks permission, and return the error to raise.

        Change nothing before this call: whatever the request wrote is committed.
        """
        await self.record(SecurityEvent.FORBIDDEN, user_id, subject_id)
        return RecordedForbiddenError(message)


def security_log(session: AsyncSession, request_id: str | None = None) -> SecurityLog:
    """Return the recorder of a transaction's events, to the log and the table."""
    return AuditLog(AuditRepository(session), request_id)
