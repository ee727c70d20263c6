"""The request id: taken from the caller or made, and the same in logs and response."""

import re
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import Scope

HEADER = "X-Request-ID"

ACCEPTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a caller may send. Anything else could forge log lines or fill them."""

SCOPE_KEY = "request_id"


def choose_request_id(scope: Scope) -> str:
    """Return the caller's id if it is acceptable, or else a new one."""
    offered = Headers(scope=scope).get(HEADER, "")
    return offered if ACCEPTED.fullmatch(offered) else uuid4().hex
