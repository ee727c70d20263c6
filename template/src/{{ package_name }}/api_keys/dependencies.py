"""Who is asking, where a machine may ask as well as a person."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader

from ..audit.dependencies import AuditLogDep
from ..core.database.session import SessionDep
from ..users.dependencies import SignedInUser, get_current_user
from ..users.models import User
from .repository import ApiKeyRepository
from .service import ApiKeyService

api_key_header = APIKeyHeader(
    name="X-API-Key",
    scheme_name="ApiKey",
    description="Acts as its owner, within its scopes: one to read, one to write.",
    auto_error=False,
)

READING = ("GET", "HEAD")
"""The methods that change nothing; all others take the scope to write."""


async def get_api_key_service(session: SessionDep, audit: AuditLogDep) -> ApiKeyService:
    """Give the rules for API keys, within this request's transaction."""
    return ApiKeyService(ApiKeyRepository(session), audit)


ApiKeyServiceDep = Annotated[ApiKeyService, Depends(get_api_key_service)]


def caller_of(feature: str) -> Callable[..., Awaitable[User]]:
    """Make the dependency that lets people and machines use a feature.

    A person signs in and may do everything that is theirs. A machine sends an API
    key, which acts as its owner as far as its scopes go. Where ``CurrentUser`` is
    asked for instead, no key is accepted.

    Args:
        feature: What the scopes begin with, such as ``items`` in ``items:read``.
    """

    async def get_caller(
        request: Request,
        user: SignedInUser,
        key: Annotated[str | None, Depends(api_key_header)],
        api_keys: ApiKeyServiceDep,
    ) -> User:
        # Of both credentials the token counts: it says more about who is asking.
        if user is not None or key is None:
            return await get_current_user(user)
        right = "read" if request.method in READING else "write"
        return await api_keys.authenticate(key, f"{feature}:{right}")

    return get_caller
