"""Who is asking, and the service that answers."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from ..core.database import SessionDep
from ..core.errors import AuthenticationError
from ..core.passwords import Passwords
from ..core.tokens import AccessTokens
from .models import User
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
    users: UserRepositoryDep, passwords: PasswordsDep
) -> UserService:
    """Give the rules for users, within this request's transaction."""
    return UserService(users, passwords)


async def get_current_user(
    token: Annotated[str | None, Depends(bearer)],
    access_tokens: AccessTokensDep,
    users: UserRepositoryDep,
) -> User:
    """Say who is asking.

    Raises:
        AuthenticationError: there is no valid token, or its user may not use it now.
    """
    if token is None:
        raise AuthenticationError
    claims = access_tokens.read(token)
    user = await users.get(claims.user_id)
    if user is None or not user.is_active:
        raise AuthenticationError
    if user.credentials_version != claims.credentials_version:
        raise AuthenticationError
    return user


UserServiceDep = Annotated[UserService, Depends(get_user_service)]
CurrentUser = Annotated[User, Depends(get_current_user)]
