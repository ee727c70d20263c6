"""Checks of a request before it is read: the load, its Host header, the body's size.

Starlette's and uvicorn's own ones would refuse with plain text.
"""

import re

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import UnavailableError
from .health import PROBE_PATHS
from .problems import problem_response, service_error_response
from .settings import HttpSettings

HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]*)?")
TOO_LARGE = "The body is too large."


class ConcurrencyLimitMiddleware:
    """Refuses requests while too many others are running or waiting.

    Otherwise they would pile up in memory, and time out after a long wait. Probes pass.
    """

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._most = settings.max_concurrent_requests
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if there is room for it."""
        if scope["type"] != "http" or scope["path"] in PROBE_PATHS:
            await self._app(scope, receive, send)
            return
        if self._running >= self._most:
            refusal = UnavailableError("The service is busy.")
            await service_error_response(scope, refusal)(scope, receive, send)
            return
        self._running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1


class TrustedHostMiddleware:
    """Refuses a forged Host header, except for probes, which use the address."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._patterns = [pattern.lower() for pattern in settings.allowed_hosts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if its host is an allowed one."""
        if scope["type"] == "lifespan" or self._is_trusted(scope):
            await self._app(scope, receive, send)
            return
        refusal = problem_response(scope, 400, "Invalid host header.")
        await refusal(scope, receive, send)

    def _is_trusted(self, scope: Scope) -> bool:
        if "*" in self._patterns or scope["path"] in PROBE_PATHS:
            return True
        match = HOST.fullmatch(Headers(scope=scope).get("host", ""))
        host = match[1].lower() if match else ""
        return any(
            host == pattern
            or (pattern.startswith("*.") and host.endswith(pattern.removeprefix("*")))
            for pattern in self._patterns
        )


class BodyLimitMiddleware:
    """Refuses a large body before it is read, or while it is read in chunks."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._max_bytes = settings.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or count what is read of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            await problem_response(scope, 413, TOO_LARGE)(scope, receive, send)
            return
        total = 0

        async def receive_limited() -> Message:
            nonlocal total
            message = await receive()
            total += len(message.get("body", b""))
            if total > self._max_bytes:
                raise HTTPException(413, TOO_LARGE)
            return message

        await self._app(scope, receive_limited, send)
