"""What every request has: an id, its log line, and the headers of its response."""

from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, reset_contextvars

from .health import PROBE_PATHS
from .request_id import HEADER, SCOPE_KEY, choose_request_id
from .route_template import route_template
from .settings import HttpSettings

log = structlog.stdlib.get_logger(__name__)

API_PATH = "/api/"
ID_HEADER = HEADER.lower().encode()

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
        headers = dict(SECURITY_HEADERS)
        if settings.hsts_seconds:
            headers["Strict-Transport-Security"] = f"max-age={settings.hsts_seconds}"
        self._headers = [
            (name.lower().encode(), content.encode())
            for name, content in headers.items()
        ]
        self._api_headers = [*self._headers, (b"cache-control", b"no-store")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its id, and log it once it has ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope[SCOPE_KEY] = choose_request_id(scope)
        path: str = scope["path"]
        is_api = path.removeprefix(scope.get("root_path", "")).startswith(API_PATH)
        added = self._api_headers if is_api else self._headers
        started = perf_counter()
        status: int | None = None

        async def send_completed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                own = [one for one in message.get("headers", ()) if one[0] != ID_HEADER]
                names = {name for name, _ in own}
                missing = (one for one in added if one[0] not in names)
                message["headers"] = [*own, (ID_HEADER, request_id.encode()), *missing]
            await send(message)

        tokens = bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_completed)
        # Requests that fail or whose client leaves are logged, too.
        finally:
            if path not in PROBE_PATHS:
                self._log(scope, status, perf_counter() - started)
            reset_contextvars(**tokens)

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
