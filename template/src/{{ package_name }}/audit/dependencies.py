"""The audit log, within this request's transaction."""

from typing import Annotated

from fastapi import Depends, Request

from ..core.database.session import SessionDep
from ..core.http.request_id import SCOPE_KEY
from .repository import AuditRepository
from .service import AuditLog


async def get_audit_log(request: Request, session: SessionDep) -> AuditLog:
    """Give the audit log; its events carry the request's id."""
    return AuditLog(AuditRepository(session), request.scope.get(SCOPE_KEY))


AuditLogDep = Annotated[AuditLog, Depends(get_audit_log)]
