"""Dependencies of the routes for signing in."""

from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request

from ..core.database.session import SessionDep
from ..core.settings import ServiceSettings
from ..users.dependencies import SecurityLogDep
from ..users.repository import UserRepository
from .repository import RefreshTokenRepository
from .service import AuthService


async def get_auth_service(
    request: Request, session: SessionDep, events: SecurityLogDep
) -> AuthService:
    """Return the service for signing in, in this transaction."""
    settings: ServiceSettings = request.state["settings"]
    return AuthService(
        UserRepository(session),
        RefreshTokenRepository(session),
        request.state["passwords"],
        request.state["access_tokens"],
        events,
        timedelta(days=settings.refresh_token_days),
    )


AuthServiceDep = Annotated[AuthService, Depends(get_auth_service)]
