"""Settings of the rate limits: ``rate_limit_exports`` makes a limit named ``exports``."""

import re
from typing import Annotated

from pydantic import AfterValidator

from ..configuration import Configuration

_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "month": 2_592_000}
_RATE = re.compile(
    rf"([1-9]\d*)\s*(?:/|per)\s*([1-9]\d*)?\s*({'|'.join(_SECONDS)})s?", re.IGNORECASE
)


def parse_rate(rate: str) -> tuple[int, int]:
    """Return how many requests a rate allows, and in how many seconds.

    Raises:
        ValueError: the text is no rate.
    """
    if not (parts := _RATE.fullmatch(rate.strip())):
        message = "must be a number and a time, such as 300/minute or 5/15 minutes"
        raise ValueError(message)
    amount, multiple, unit = parts.groups()
    return int(amount), int(multiple or 1) * _SECONDS[unit.lower()]


def _check_rate(rate: str) -> str:
    parse_rate(rate)
    return rate


Rate = Annotated[str, AfterValidator(_check_rate)]
"""A rate: ``300/minute``, ``5/15 minutes``."""


class RateLimitSettings(Configuration):
    """The default limit."""

    rate_limit_default: Rate = "600/minute"
    """How many requests a client may send, to all routes but probes taken together."""
