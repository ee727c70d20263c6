"""How often a client may ask: counted over a sliding window, refused beyond it."""

from dataclasses import dataclass
from math import floor
from typing import cast

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.storage.base import SlidingWindowCounterSupport
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.types import Scope

from ..errors import TooManyRequestsError, UnavailableError
from ..http.client_address import client_address
from ..settings import ServiceSettings

log = structlog.stdlib.get_logger(__name__)

DEFAULT = "default"
"""The limit that holds for every route but probes and the files of /docs."""

SCOPE_KEY = "rate_limit_quotas"
SETTING_PREFIX = "rate_limit_"
SETTING_ON_FAILURE = "rate_limit_on_failure"


@dataclass(frozen=True)
class Quota:
    """What is left of one limit for one client."""

    name: str
    limit: int
    window_seconds: int
    remaining: int
    reset_seconds: int
    """When there is more left than now; with nothing left, when to come back."""


class RateLimitError(TooManyRequestsError):
    """A client has used up one of its limits."""

    def __init__(self, quota: Quota) -> None:
        """Say when there is some of it again."""
        super().__init__(quota.reset_seconds)
        self.quota = quota


class RateLimiter:
    """Counts what clients do against the limits of the settings.

    A setting ``rate_limit_exports`` makes a limit named ``exports``.
    """

    def __init__(
        self, storage: Storage, settings: ServiceSettings, *, is_open: bool = True
    ) -> None:
        """Read the limits.

        Args:
            storage: Where the counts are, for this process or for all of them.
            settings: What the limits are.
            is_open: Whether requests pass while the counts cannot be reached.
        """
        # It refuses a storage that cannot keep sliding windows.
        self._counts = SlidingWindowCounterRateLimiter(storage)
        self._windows = cast("SlidingWindowCounterSupport", storage)
        self._is_open = is_open
        self._limits = {
            name.removeprefix(SETTING_PREFIX): parse(rate)
            for name, rate in settings
            if name.startswith(SETTING_PREFIX) and name != SETTING_ON_FAILURE
        }

    async def spend(self, name: str, *key: str) -> Quota | None:
        """Count one more; nothing comes back while the counts cannot be reached.

        Args:
            name: The limit.
            key: Who or what is counted.

        Raises:
            RateLimitError: the limit is reached; this one is not counted.
            UnavailableError: the counts cannot be reached, and that stops requests.
        """
        limit = self._limits[name]
        try:
            is_counted = await self._counts.hit(limit, name, *key)
            quota = await self._quota(name, limit, key)
        except UnavailableError:
            # Who notices and what it costs is a decision for operators: a setting.
            if self._is_open:
                return None
            raise
        if not is_counted:
            log.info("rate_limit_reached", limit=name)
            raise RateLimitError(quota)
        return quota

    async def give_back(self, name: str, *key: str) -> None:
        """Uncount one, if the counts can be reached."""
        try:
            await self._counts.hit(self._limits[name], name, *key, cost=-1)
        except UnavailableError:
            log.warning("rate_limit_not_given_back", limit=name)

    async def forget(self, name: str, *key: str) -> None:
        """Start the count again from zero, if it can be reached."""
        try:
            await self._counts.clear(self._limits[name], name, *key)
        except UnavailableError:
            log.warning("rate_limit_not_forgotten", limit=name)

    async def _quota(
        self, name: str, limit: RateLimitItem, key: tuple[str, ...]
    ) -> Quota:
        seconds = limit.get_expiry()
        before, before_lasts, now, now_lasts = await self._windows.get_sliding_window(
            limit.key_for(name, *key), seconds
        )
        used = floor(before * before_lasts / seconds) + now
        # The current window goes on counting, ever less, for one more window's time.
        reset = now_lasts - seconds if now else before_lasts
        if used >= limit.amount and now < limit.amount:
            reset = before_lasts - (limit.amount - now) * seconds / before
        return Quota(
            name,
            limit.amount,
            seconds,
            remaining=min(limit.amount, max(0, limit.amount - used)),
            reset_seconds=min(seconds, floor(max(0, reset)) + 1),
        )


async def spend_for_client(scope: Scope, name: str) -> None:
    """Count a request against a limit of its client, and note what is left.

    Raises:
        RateLimitError: the limit is reached.
        UnavailableError: the counts cannot be reached, and that stops requests.
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
