"""What every request has: an id, its log line, and the headers of its response."""

from time import perf_counter

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from .health import PROBE_PATHS
from .request_id import HEADER, SCOPE_KEY, choose_request_id
from .route_template import route_template
from .settings import HttpSettings

log = structlog.stdlib.get_logger(__name__)

API_PATH = "/api/"

SECURITY_HEADERS = {
    # Responses are data: nothing in them may be loaded, run or framed by a browser.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class RequestMiddleware:
    """Binds the request id to the log, completes the response headers, logs the request.

    A header that a route sets is kept. Responses of the API that set no
    ``Cache-Control`` get ``no-store``. Probes arrive every few seconds: no log line.
    """

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._slow_seconds = settings.slow_request_seconds
        self._headers = dict(SECURITY_HEADERS)
        if settings.hsts_seconds:
            max_age = f"max-age={settings.hsts_seconds}"
            self._headers["Strict-Transport-Security"] = max_age

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its id, and log it once it has ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope[SCOPE_KEY] = choose_request_id(scope)
        path: str = scope["path"]
        is_api = path.removeprefix(scope.get("root_path", "")).startswith(API_PATH)
        started = perf_counter()
        status: int | None = None

        async def send_completed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                headers = MutableHeaders(scope=message)
                headers[HEADER] = request_id
                for name, content in self._headers.items():
                    headers.setdefault(name, content)
                if is_api:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        with bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_completed)
            # Requests that fail or whose client leaves are logged, too.
            finally:
                if path not in PROBE_PATHS:
                    self._log(scope, status, perf_counter() - started)

    def _log(self, scope: Scope, status: int | None, seconds: float) -> None:
        facts = {
            "method": scope["method"],
            "route": route_template(scope),
            "status": status,
            "duration_ms": round(seconds * 1000, 1),
        }
        # The path only: a query string may contain secrets.
        log.info("request_finished", path=scope["path"], **facts)
        # A second line, so that slow requests can be found and alerted on.
        if seconds >= self._slow_seconds:
            log.warning("request_slow", **facts)
