"""Settings of the rate limits: ``rate_limit_exports`` makes a limit named ``exports``."""

from typing import Annotated

from limits import parse
from pydantic import AfterValidator

from ..configuration import Configuration


def _check_rate(rate: str) -> str:
    try:
        amount = parse(rate).amount
    except ValueError:
        amount = 0
    if not amount:
        message = "must be a number and a time, such as 300/minute or 5/15 minutes"
        raise ValueError(message)
    return rate


Rate = Annotated[str, AfterValidator(_check_rate)]
"""A rate: ``300/minute``, ``5/15 minutes``."""


class RateLimitSettings(Configuration):
    """The default limit."""

    rate_limit_default: Rate = "600/minute"
    """How many requests a client may send, to all routes but probes taken together."""
