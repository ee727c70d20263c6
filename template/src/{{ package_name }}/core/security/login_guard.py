"""Limits the guessing of passwords, without letting one client lock out another.

Failed sign-ins are counted twice: by address, against trying many accounts, and by
address and account together, against trying many passwords. They are never counted
by account alone: anyone who knows an e-mail address could then lock its owner out.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from weakref import WeakValueDictionary

import anyio
from fastapi import Depends, Request

from ..errors import AuthenticationError
from ..rate_limits.limits import RateLimiter

PER_ADDRESS = "login_failures_per_address"
PER_ACCOUNT = "login_failures_per_account"


class LoginGuard:
    """Counts failed sign-ins and refuses further attempts beyond the limits."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._turns: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def attempt(self, address: str, account: str) -> AsyncIterator[None]:
        """Count one attempt to sign in, which the body of ``async with`` makes.

        It is counted before the password is checked and uncounted unless it fails: of
        many concurrent guesses, no more are checked than the limit allows.

        Raises:
            RateLimitError: too many attempts have failed.
            UnavailableError: the counts are unavailable, and that stops requests.
        """
        # The name can be any text, and none of it may be stored with the counts.
        name = account.strip().lower().encode("utf-8", "backslashreplace")
        pair = f"{address}/{hashlib.sha256(name).hexdigest()}"
        # One after the other, so that attempts that will succeed do not reach the limit.
        async with self._turns.setdefault(pair, anyio.Lock()):
            spent = {PER_ACCOUNT: pair, PER_ADDRESS: address}
            await self._limiter.spend(spent)
            try:
                yield
            except AuthenticationError:
                raise
            except Exception:
                # The password was not checked: the database did not respond, for example.
                await self._limiter.undo(spent)
                raise
            await self._limiter.undo({PER_ADDRESS: address}, forget={PER_ACCOUNT: pair})


async def get_login_guard(request: Request) -> LoginGuard:
    """Return the application's guard."""
    guard: LoginGuard = request.state["login_guard"]
    return guard


LoginGuardDep = Annotated[LoginGuard, Depends(get_login_guard)]
