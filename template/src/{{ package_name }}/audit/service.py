"""Remembers security events: a row in the request's transaction, and a log line."""

import logging
from uuid import UUID

import structlog

from ..core.errors import ForbiddenError
from .models import AuditEvent, SecurityEvent
from .repository import AuditRepository

log = structlog.stdlib.get_logger(__name__)

ALARMING = frozenset({SecurityEvent.TOKEN_REUSED, SecurityEvent.FORBIDDEN})
"""Logged as warnings: honest clients do not cause them."""


class RecordedForbiddenError(ForbiddenError):
    """A refusal whose event outlives the request that is refused."""

    keeps_changes = True


class AuditLog:
    """Takes down what happens to accounts and credentials."""

    def __init__(self, events: AuditRepository, request_id: str | None) -> None:
        """Write in one transaction, for one request or, without an id, a command."""
        self._events = events
        self._request_id = request_id

    async def record(
        self,
        event: SecurityEvent,
        user_id: UUID | None = None,
        subject_id: UUID | None = None,
    ) -> None:
        """Take down an event.

        It is kept if the transaction is. A refusal rolls back, unless its error says
        ``keeps_changes``.

        Args:
            event: What happened.
            user_id: Whose account it is about, if anybody's.
            subject_id: The API key or the family of tokens it is about.
        """
        await self._events.add(
            AuditEvent(
                event=event.value,
                user_id=user_id,
                subject_id=subject_id,
                request_id=self._request_id,
            )
        )
        level = logging.WARNING if event in ALARMING else logging.INFO
        ids = {"user_id": user_id, "subject_id": subject_id}
        # The request id is bound to every line already, see core/http/request_id.py.
        log.log(level, event.value, **{name: str(i) for name, i in ids.items() if i})

    async def refusal(
        self, message: str, user_id: UUID, subject_id: UUID | None = None
    ) -> ForbiddenError:
        """Take down that somebody may not do this, and give the error to raise.

        Nothing may have been changed before it: whatever the request wrote is kept.
        """
        await self.record(SecurityEvent.FORBIDDEN, user_id, subject_id)
        return RecordedForbiddenError(message)
