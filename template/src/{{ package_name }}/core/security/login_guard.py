"""Guessing passwords is stopped, and nobody can stop somebody else from signing in.

Failed sign-ins are counted twice: by address, against trying many accounts, and by
address and account together, against trying many passwords. They are never counted
by account alone: whoever knows an e-mail address could then lock its owner out.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from weakref import WeakValueDictionary

import anyio
from fastapi import Depends, Request

from ..errors import AuthenticationError, ServiceError
from ..rate_limits.limits import RateLimiter

PER_ADDRESS = "login_failures_per_address"
PER_ACCOUNT = "login_failures_per_account"


class LoginGuard:
    """Counts failed sign-ins and refuses further attempts beyond the limits."""

    def __init__(self, limiter: RateLimiter) -> None:
        """Take what counts."""
        self._limiter = limiter
        self._turns: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def attempt(self, address: str, account: str) -> AsyncIterator[None]:
        """Surround one attempt to sign in.

        It is counted before the password is looked at and given back unless it
        fails: of many guesses at once, no more are looked at than the limit allows.

        Raises:
            RateLimitError: too many attempts have failed.
            UnavailableError: the counts cannot be reached, and that stops requests.
        """
        pair = f"{address}/{_digest(account)}"
        # One after the other, so that attempts which will succeed fill no limit.
        async with self._turns.setdefault(pair, anyio.Lock()):
            await self._limiter.spend(PER_ACCOUNT, pair)
            try:
                await self._limiter.spend(PER_ADDRESS, address)
            except ServiceError:
                await self._limiter.give_back(PER_ACCOUNT, pair)
                raise
            try:
                yield
            except AuthenticationError:
                raise
            except Exception:
                # Nothing was learnt about the password: the database was silent, say.
                await self._limiter.give_back(PER_ACCOUNT, pair)
                await self._limiter.give_back(PER_ADDRESS, address)
                raise
            await self._limiter.forget(PER_ACCOUNT, pair)
            await self._limiter.give_back(PER_ADDRESS, address)


def _digest(account: str) -> str:
    # Any text can come as an account's name, and none has a place in a store of counts.
    name = account.strip().lower().encode("utf-8", "backslashreplace")
    return hashlib.sha256(name).hexdigest()


async def get_login_guard(request: Request) -> LoginGuard:
    """Give the guard that the lifespan made."""
    guard: LoginGuard = request.state["login_guard"]
    return guard


LoginGuardDep = Annotated[LoginGuard, Depends(get_login_guard)]
