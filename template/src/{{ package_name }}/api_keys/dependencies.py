"""The caller of routes that accept an API key as well as a signed-in user."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader

from ..core.database.session import READING, SessionDep
from ..core.security.identities import Identity
from ..users.dependencies import (
    SecurityLogDep,
    TokenDep,
    get_caller,
    get_security_log,
)
from .repository import ApiKeyRepository
from .service import ApiKeyService

api_key_header = APIKeyHeader(
    name="X-API-Key",
    scheme_name="ApiKey",
    description="Acts as its owner, within its scopes: one to read, one to write.",
    auto_error=False,
)


async def get_api_key_service(
    session: SessionDep, events: SecurityLogDep
) -> ApiKeyService:
    """Build the rules for API keys in this request's transaction."""
    return ApiKeyService(ApiKeyRepository(session), events)


ApiKeyServiceDep = Annotated[ApiKeyService, Depends(get_api_key_service)]


def caller_with_scope(feature: str) -> Callable[..., Awaitable[Identity]]:
    """Make the dependency that admits users and API keys to a feature's routes.

    A signed-in user may do everything with their own data. An API key acts as its
    owner, within its scopes. A route with ``Caller`` of users instead accepts no key.

    Args:
        feature: The prefix of the scopes, such as ``items`` in ``items:read``.
    """

    async def get_scoped_caller(
        request: Request,
        session: SessionDep,
        token: TokenDep,
        key: Annotated[str | None, Depends(api_key_header)],
    ) -> Identity:
        # The token takes precedence: it identifies a person, not only an owner.
        if token is not None or key is None:
            return await get_caller(request, session, token)
        # Built here, because most requests have no key.
        events = await get_security_log(request, session)
        api_keys = await get_api_key_service(session, events)
        right = "read" if request.method in READING else "write"
        return await api_keys.authenticate(key, f"{feature}:{right}")

    return get_scoped_caller
