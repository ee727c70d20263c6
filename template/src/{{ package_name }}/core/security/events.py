"""Security events: what happens to accounts and credentials, by ids only."""

import logging
from enum import StrEnum
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from ..errors import ForbiddenError

log = structlog.stdlib.get_logger(__name__)


class SecurityEvent(StrEnum):
    """An event of an account or its credentials."""

    REGISTERED = "registered"
    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    TOKEN_REUSED = "token_reused"  # noqa: S105
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    DEACTIVATED = "deactivated"
    FORBIDDEN = "forbidden"


ALARMING = frozenset({SecurityEvent.TOKEN_REUSED, SecurityEvent.FORBIDDEN})
"""Logged as warnings: regular clients do not cause them."""


class SecurityLog:
    """Writes security events to the log."""

    async def record(
        self, event: str, user_id: UUID | None = None, subject_id: UUID | None = None
    ) -> None:
        """Record an event of a user's account.

        Args:
            event: A ``SecurityEvent``, or a short name of your own.
            user_id: The user; ``None`` where no user has that address.
            subject_id: The API key or the family of tokens that the event is about.
        """
        level = logging.WARNING if event in ALARMING else logging.INFO
        ids = {"user_id": user_id, "subject_id": subject_id}
        # Every line has the request id already, see core/http/request_id.py.
        log.log(level, str(event), **{name: str(i) for name, i in ids.items() if i})

    async def refusal(
        self, message: str, user_id: UUID, subject_id: UUID | None = None
    ) -> ForbiddenError:
        """Record that the user may not do this, and return the error to raise."""
        await self.record(SecurityEvent.FORBIDDEN, user_id, subject_id)
        return ForbiddenError(message)


def security_log(session: AsyncSession, request_id: str | None = None) -> SecurityLog:
    """Return the log of security events; the part ``audit_log`` also stores each event."""
    return SecurityLog()
