"""One log line for each request: what was asked, what came back, how long it took.

A slow request has a second one, so that slowness can be found, counted and alerted on.
"""

from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .health import PROBE_PATHS
from .route_template import route_template

log = structlog.stdlib.get_logger(__name__)


class AccessLogMiddleware:
    """Logs every finished request, except the probes that arrive every few seconds."""

    def __init__(self, app: ASGIApp, slow_seconds: float) -> None:
        """Wrap the next application.

        Args:
            app: The next application.
            slow_seconds: From when on a request is slow.
        """
        self._app = app
        self._slow_seconds = slow_seconds

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
            seconds = perf_counter() - started
            facts = {
                "method": scope["method"],
                "route": route_template(scope),
                "status": None if status is None else int(status),
                "duration_ms": round(seconds * 1000, 1),
            }
            # The path alone: a query string may carry what must not be kept.
            log.info("request_finished", path=scope["path"], **facts)
            if seconds >= self._slow_seconds:
                log.warning("request_slow", **facts)
