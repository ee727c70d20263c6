"""HTTP routes for signing in."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.security import OAuth2PasswordRequestForm

from ..core.http.client_address import ClientAddressDep
from ..core.http.problems import problem_responses
from ..core.rate_limits.middleware import rate_limit
from ..core.security.login_guard import LoginGuardDep
from .dependencies import AuthServiceDep
from .schemas import RefreshRequest, TokenPair

router = APIRouter(prefix="/auth", tags=["auth"], responses=problem_responses(401))

NO_STORE = "no-store"
"""Required by RFC 6749, section 5.1: no cache may store a token."""


@router.post("/token", dependencies=[rate_limit("login")])
async def create_token(
    response: Response,
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    service: AuthServiceDep,
    guard: LoginGuardDep,
    address: ClientAddressDep,
) -> TokenPair:
    """Sign in with an e-mail address (as `username`) and a password."""
    response.headers["Cache-Control"] = NO_STORE
    async with guard.attempt(address, form.username):
        return await service.sign_in(form.username, form.password)


@router.post("/refresh", dependencies=[rate_limit("refresh")])
async def refresh_token(
    response: Response, data: RefreshRequest, service: AuthServiceDep
) -> TokenPair:
    """Trade a refresh token for a new pair; each token works once."""
    response.headers["Cache-Control"] = NO_STORE
    return await service.refresh(data.refresh_token)


@router.post("/logout", status_code=204)
async def sign_out(data: RefreshRequest, service: AuthServiceDep) -> None:
    """Give up a refresh token; an unknown one is no error."""
    await service.sign_out(data.refresh_token)
