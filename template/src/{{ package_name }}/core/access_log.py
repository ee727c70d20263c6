"""One log line for each request: what was asked, what came back, how long it took."""

from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .health import PROBE_PATHS

log = structlog.stdlib.get_logger(__name__)


class AccessLogMiddleware:
    """Logs every finished request, except the probes that arrive every few seconds."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the next application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Time the request and log it, also when it fails or the client leaves."""
        if scope["type"] != "http" or scope["path"] in PROBE_PATHS:
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        status: int | None = None

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            # The path alone: a query string may carry what must not be kept.
            log.info(
                "request_finished",
                method=scope["method"],
                path=scope["path"],
                status=None if status is None else int(status),
                duration_ms=round((perf_counter() - started) * 1000, 1),
            )
