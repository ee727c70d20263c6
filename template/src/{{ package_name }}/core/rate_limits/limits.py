"""How many requests a client may send: counted over a sliding window."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import structlog
from starlette.types import Scope

from ..errors import TooManyRequestsError, UnavailableError
from ..http.client_address import client_address
from .settings import RateLimitSettings, parse_rate

log = structlog.stdlib.get_logger(__name__)

DEFAULT = "default"
"""The limit that applies to every route but probes and the files of /docs."""

SCOPE_KEY = "rate_limit_quotas"
SETTING_PREFIX = "rate_limit_"


class Limit(NamedTuple):
    """How many requests are allowed in how much time."""

    name: str
    amount: int
    window: int
    """In milliseconds, as all times of the counts: whole numbers compare exactly."""


class Count(NamedTuple):
    """What one client has used of a limit, whose first window its first request began."""

    current: int
    """Counted in the window that has begun."""
    previous: int
    """Counted in the window before it."""
    elapsed: int
    """How many milliseconds ago the window began."""

    def used(self, limit: Limit) -> int:
        """Return the count of a window that ends now, as if requests came evenly."""
        share = self.previous * (limit.window - self.elapsed)
        return self.current + max(0, share - 1) // limit.window


class Demand(NamedTuple):
    """One request of a client, or of another key, against a limit."""

    limit: Limit
    key: str


class Counts(Protocol):
    """Where requests are counted."""

    async def spend(self, demands: Sequence[Demand]) -> tuple[bool, list[Count]]:
        """Count one for every demand, or for none if one of the limits is reached.

        Returns:
            Whether they were counted, and the counts after that.
        """

    async def undo(self, spent: Sequence[Demand], forgotten: Sequence[Demand]) -> None:
        """Take back one count of each spent demand, and all counts of each forgotten."""


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
    """A client has used up at least one of its limits."""

    def __init__(self, quotas: Sequence[Quota]) -> None:
        """Take the quotas of all limits of the request."""
        reached = [quota for quota in quotas if not quota.remaining]
        super().__init__(max(quota.reset_seconds for quota in reached))
        self.quotas = quotas
        self.names = [quota.name for quota in reached]


class RateLimiter:
    """Counts requests against the limits of the settings.

    A setting ``rate_limit_exports`` makes a limit named ``exports``.
    """

    def __init__(
        self, counts: Counts, settings: RateLimitSettings, *, is_open: bool = True
    ) -> None:
        """Read the limits; ``is_open`` lets requests pass while nothing can be counted."""
        self._counts = counts
        self._is_open = is_open
        self._limits: dict[str, Limit] = {}
        for setting, rate in settings:
            name = setting.removeprefix(SETTING_PREFIX)
            if name not in {setting, "on_failure"}:
                amount, seconds = parse_rate(rate)
                self._limits[name] = Limit(name, amount, seconds * 1000)

    async def spend(self, keys: Mapping[str, str]) -> list[Quota]:
        """Count one against each of these limits, in one step.

        Args:
            keys: By the name of the limit, whose request it is: a client or other key.

        Returns:
            What is left of each, or nothing while the counts are unavailable.

        Raises:
            RateLimitError: a limit is reached; nothing is counted for any of them.
            UnavailableError: the counts are unavailable, and the limiter is not open.
        """
        demands = self._demands(keys)
        try:
            is_counted, counts = await self._counts.spend(demands)
        except UnavailableError:
            # A setting decides whether an outage stops requests.
            if self._is_open:
                return []
            raise
        quotas = [
            _quota(demand.limit, count)
            for demand, count in zip(demands, counts, strict=True)
        ]
        if not is_counted:
            error = RateLimitError(quotas)
            log.info("rate_limit_reached", limits=error.names)
            raise error
        return quotas

    async def undo(
        self, keys: Mapping[str, str], *, forget: Mapping[str, str] | None = None
    ) -> None:
        """Undo ``spend``, if the counts are available.

        Args:
            keys: What was spent.
            forget: Limits and keys whose count starts from zero instead.
        """
        spent, forgotten = self._demands(keys), self._demands(forget or {})
        try:
            await self._counts.undo(spent, forgotten)
        except UnavailableError:
            log.warning("rate_limits_not_undone", limits=[*keys, *(forget or {})])

    def _demands(self, keys: Mapping[str, str]) -> list[Demand]:
        return [Demand(self._limits[name], key) for name, key in keys.items()]


async def spend_for_client(scope: Scope, *names: str) -> None:
    """Count a request against limits of its client, and keep the quotas in the scope.

    Raises:
        RateLimitError: a limit is reached.
        UnavailableError: the counts are unavailable, and the limiter is not open.
    """
    limiter: RateLimiter = scope["state"]["rate_limiter"]
    quotas: list[Quota] = scope[SCOPE_KEY]
    try:
        quotas += await limiter.spend(dict.fromkeys(names, client_address(scope)))
    except RateLimitError as error:
        quotas += error.quotas
        raise


def _quota(limit: Limit, count: Count) -> Quota:
    used = count.used(limit)
    wait = limit.window - count.elapsed
    # The share of the window before shrinks with time; this window's count does not.
    if (share := min(used, limit.amount) - count.current) > 0:
        wait -= share * limit.window // count.previous
    return Quota(
        limit.name,
        limit.amount,
        limit.window // 1000,
        remaining=max(0, limit.amount - used),
        reset_seconds=math.ceil(wait / 1000),
    )
