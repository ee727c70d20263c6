"""The service that signs in, within this request's transaction."""

from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request

from ..audit.dependencies import AuditLogDep
from ..core.database.session import SessionDep
from ..core.settings import ServiceSettings
from ..users.dependencies import AccessTokensDep, PasswordsDep, UserRepositoryDep
from .repository import RefreshTokenRepository
from .service import AuthService


async def get_auth_service(
    *,
    request: Request,
    session: SessionDep,
    users: UserRepositoryDep,
    passwords: PasswordsDep,
    access_tokens: AccessTokensDep,
    audit: AuditLogDep,
) -> AuthService:
    """Give the rules for signing in, within this request's transaction."""
    settings: ServiceSettings = request.state["settings"]
    return AuthService(
        users,
        RefreshTokenRepository(session),
        passwords,
        access_tokens,
        audit=audit,
        refresh_lifetime=timedelta(days=settings.refresh_token_days),
    )


AuthServiceDep = Annotated[AuthService, Depends(get_auth_service)]
