"""Who is asking, and the service that answers."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from ..audit.dependencies import AuditLogDep
from ..core.database import SessionDep
from ..core.errors import AuthenticationError
from ..core.passwords import Passwords
from ..core.tokens import AccessTokens
from .models import Role, User
from .repository import UserRepository
from .service import UserService

bearer = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/token", auto_error=False)


async def get_passwords(request: Request) -> Passwords:
    """Give the hasher that the lifespan made."""
    passwords: Passwords = request.state["passwords"]
    return passwords


async def get_access_tokens(request: Request) -> AccessTokens:
    """Give the issuer of access tokens that the lifespan made."""
    access_tokens: AccessTokens = request.state["access_tokens"]
    return access_tokens


async def get_user_repository(session: SessionDep) -> UserRepository:
    """Give the users, within this request's transaction."""
    return UserRepository(session)


PasswordsDep = Annotated[Passwords, Depends(get_passwords)]
AccessTokensDep = Annotated[AccessTokens, Depends(get_access_tokens)]
UserRepositoryDep = Annotated[UserRepository, Depends(get_user_repository)]


async def get_user_service(
    users: UserRepositoryDep, passwords: PasswordsDep, audit: AuditLogDep
) -> UserService:
    """Give the rules for users, within this request's transaction."""
    return UserService(users, passwords, audit)


async def get_signed_in_user(
    token: Annotated[str | None, Depends(bearer)],
    access_tokens: AccessTokensDep,
    users: UserRepositoryDep,
) -> User | None:
    """Say whose access token came with the request; without one it is nobody's.

    Raises:
        AuthenticationError: the token is not valid, or its user may not use it now.
    """
    if token is None:
        return None
    claims = access_tokens.read(token)
    user = await users.get(claims.user_id)
    if user is None or not user.is_active:
        raise AuthenticationError
    if user.credentials_version != claims.credentials_version:
        raise AuthenticationError
    return user


SignedInUser = Annotated[User | None, Depends(get_signed_in_user)]


async def get_current_user(user: SignedInUser) -> User:
    """Say who is asking: a person who has signed in, never a machine.

    Raises:
        AuthenticationError: there is no valid token, or its user may not use it now.
    """
    if user is None:
        raise AuthenticationError
    return user


UserServiceDep = Annotated[UserService, Depends(get_user_service)]
CurrentUser = Annotated[User, Depends(get_current_user)]


async def get_admin(user: CurrentUser, audit: AuditLogDep) -> User:
    """Say which admin is asking.

    Raises:
        ForbiddenError: somebody who has signed in and is no admin.
    """
    if user.role is not Role.ADMIN:
        message = "Only an admin may do this."
        raise await audit.refusal(message, user.id)
    return user


AdminUser = Annotated[User, Depends(get_admin)]
