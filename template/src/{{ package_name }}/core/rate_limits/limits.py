"""How many requests a client may send: counted over a sliding window."""

from dataclasses import dataclass
from time import time

import structlog
from limits import parse
from limits.aio.storage import Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.types import Scope

from ..errors import TooManyRequestsError, UnavailableError
from ..http.client_address import client_address
from .settings import RateLimitSettings

log = structlog.stdlib.get_logger(__name__)

DEFAULT = "default"
"""The limit that applies to every route but probes and the files of /docs."""

SCOPE_KEY = "rate_limit_quotas"
SETTING_PREFIX = "rate_limit_"


@dataclass(frozen=True)
class Quota:
    """What is left of one limit for one client."""

    name: str
    limit: int
    window_seconds: int
    remaining: int
    reset_seconds: int
    """When more is left than now; if nothing is left, when a retry can succeed."""


class RateLimitError(TooManyRequestsError):
    """A client has used up one of its limits."""

    def __init__(self, quota: Quota) -> None:
        super().__init__(quota.reset_seconds)
        self.quota = quota


class RateLimiter:
    """Counts requests against the limits of the settings.

    A setting ``rate_limit_exports`` makes a limit named ``exports``.
    """

    def __init__(
        self, storage: Storage, settings: RateLimitSettings, *, is_open: bool = True
    ) -> None:
        """Read the limits; ``is_open`` lets requests pass while nothing can be counted."""
        # It refuses a storage that has no sliding windows.
        self._counts = SlidingWindowCounterRateLimiter(storage)
        self._is_open = is_open
        self._limits = {
            name.removeprefix(SETTING_PREFIX): parse(rate)
            for name, rate in settings
            if name.startswith(SETTING_PREFIX) and name != "rate_limit_on_failure"
        }

    async def spend(self, name: str, *key: str) -> Quota | None:
        """Count one against the limit ``name`` of a client or other key.

        Returns:
            What is left, or ``None`` while the counts are unavailable.

        Raises:
            RateLimitError: the limit is reached; this one is not counted.
            UnavailableError: the counts are unavailable, and the limiter is not open.
        """
        limit = self._limits[name]
        try:
            is_counted = await self._counts.hit(limit, name, *key)
            stats = await self._counts.get_window_stats(limit, name, *key)
        except UnavailableError:
            # A setting decides whether an outage stops requests.
            if self._is_open:
                return None
            raise
        seconds, reset = limit.get_expiry(), max(0, stats.reset_time - time())
        quota = Quota(
            name,
            limit.amount,
            seconds,
            # What was given back can belong to an earlier window.
            remaining=min(limit.amount, stats.remaining),
            reset_seconds=min(seconds, int(reset) + 1),
        )
        if not is_counted:
            log.info("rate_limit_reached", limit=name)
            raise RateLimitError(quota)
        return quota

    async def give_back(self, name: str, *key: str) -> None:
        """Undo ``spend``, if the counts are available."""
        try:
            await self._counts.hit(self._limits[name], name, *key, cost=-1)
        except UnavailableError:
            log.warning("rate_limit_not_given_back", limit=name)

    async def forget(self, name: str, *key: str) -> None:
        """Reset the count to zero, if it is available."""
        try:
            await self._counts.clear(self._limits[name], name, *key)
        except UnavailableError:
            log.warning("rate_limit_not_forgotten", limit=name)


async def spend_for_client(scope: Scope, name: str) -> None:
    """Count a request against a limit of its client, and keep the quota in the scope.

    Raises:
        RateLimitError: the limit is reached.
        UnavailableError: the counts are unavailable, and the limiter is not open.
    """
    limiter: RateLimiter = scope["state"]["rate_limiter"]
    quotas: list[Quota] = scope[SCOPE_KEY]
    try:
        quota = await limiter.spend(name, client_address(scope))
    except RateLimitError as error:
        quotas.append(error.quota)
        raise
    if quota is not None:
        quotas.append(quota)
