"""Requests in numbers: how many, how long they took, how many are being answered."""

from time import perf_counter

from anyio import to_thread
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..http.route_template import route_template
from .registry import LIVE_SUM, Metrics

METRICS_PATH = "/metrics"

LABELS = ("method", "endpoint", "status")

METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
OTHER_METHOD = "other"
"""A client can make up any number of methods, and each would be one more series."""

NO_ANSWER = "499"
"""The client left before the answer began. Proxies log the same number for it."""

FAILED = "500"


class HttpMetrics:
    """What is counted of requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the numbers."""
        self.in_flight = Gauge(
            "http_requests_in_flight",
            "Requests that are being answered.",
            registry=registry,
            multiprocess_mode=LIVE_SUM,
        )
        self._requests = Counter(
            "http_requests_total",
            "Requests that have been answered.",
            LABELS,
            registry=registry,
        )
        self._durations = Histogram(
            "http_request_duration_seconds",
            "How long requests took, from their first byte to the answer's last one.",
            LABELS,
            registry=registry,
        )
        self._series: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}

    def count(self, method: str, endpoint: str, status: str, seconds: float) -> None:
        """Count one request."""
        labels = (method if method in METHODS else OTHER_METHOD, endpoint, status)
        series = self._series.get(labels)
        if series is None:
            series = self._requests.labels(*labels), self._durations.labels(*labels)
            self._series[labels] = series
        requests, durations = series
        requests.inc()
        durations.observe(seconds)


class HttpMetricsMiddleware:
    """Counts every request, and answers the one for the numbers.

    It is the outermost middleware, so that it sees whatever a client gets. The numbers
    are read every few seconds, by address and by nobody who signs in: so reading them
    is no route, and is not limited, logged or counted.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, requests: HttpMetrics, *, is_read: bool
    ) -> None:
        """Wrap the next application.

        Args:
            app: The next application.
            metrics: The numbers to answer with.
            requests: Where requests are counted.
            is_read: Whether the numbers are read here, and not on a port of their own.
        """
        self._app = app
        self._metrics = metrics
        self._requests = requests
        self._is_read = is_read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Time the request and count it, also when it fails or the client leaves."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._is_read and scope["path"] == METRICS_PATH:
            await self._answer(scope, receive, send)
            return
        started = perf_counter()
        status = NO_ANSWER

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(int(message["status"]))
            await send(message)

        self._requests.in_flight.inc()
        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            status = FAILED if status == NO_ANSWER else status
            raise
        finally:
            self._requests.in_flight.dec()
            self._requests.count(
                scope["method"],
                route_template(scope),
                status,
                perf_counter() - started,
            )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        accept = next(
            (value for name, value in scope["headers"] if name == b"accept"), b""
        )
        # Of several processes, each reading takes in files; nobody has to wait for it.
        text, media_type = await to_thread.run_sync(
            self._metrics.read, accept.decode("latin-1")
        )
        headers = {"Content-Type": media_type, "Cache-Control": "no-store"}
        await Response(text, headers=headers)(scope, receive, send)
