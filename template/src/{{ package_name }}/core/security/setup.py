"""The objects that signing in needs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from ..lifespan import State, add_lifespan
from ..rate_limits.limits import RateLimiter
from .identities import Identities
from .login_guard import LoginGuard
from .passwords import Passwords
from .settings import SecuritySettings
from .tokens import AccessTokens


def add_security(
    app: FastAPI, settings: SecuritySettings, limiter: RateLimiter
) -> None:
    """Provide password hashes, access tokens and the login guard to routes."""

    @asynccontextmanager
    async def share() -> AsyncIterator[State]:
        yield {
            "passwords": Passwords(settings),
            "access_tokens": AccessTokens(settings),
            "identities": Identities(settings.identity_seconds),
            "login_guard": LoginGuard(limiter),
        }

    add_lifespan(app, share)
