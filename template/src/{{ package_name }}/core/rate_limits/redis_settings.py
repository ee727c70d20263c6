"""Settings of rate limits that are counted in Redis."""

from typing import Literal

from .settings import RateLimitSettings


class SharedRateLimitSettings(RateLimitSettings):
    """What happens while Redis cannot count."""

    rate_limit_on_failure: Literal["open", "closed"] = "open"
    """Whether requests pass while Redis is unavailable: ``closed`` responds 503."""
