"""Metrics of requests: how many, how long they took, how many are in flight."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from functools import cache
from time import perf_counter

from anyio import to_thread
from fastapi import FastAPI
from prometheus_client import Counter, Gauge, Histogram
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..http.health import METRICS_PATH
from ..http.middleware import Layer, add_layer
from ..http.route_template import route_template
from ..lifespan import State, add_lifespan
from .registry import MULTIPROC_MODE, Metrics, serve_metrics
from .settings import MetricsSettings

LABELS = ("method", "endpoint", "status")

METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
OTHER_METHOD = "other"
"""A client can invent any number of methods, and each would be one more series."""

CLIENT_LEFT = "499"
"""The client left before the response began. Proxies log the same status for it."""

FAILED = "500"


class HttpMetricsMiddleware:
    """Counts every request, and responds to the one for the metrics.

    It is the outermost layer, so that it sees every response. Prometheus reads the
    metrics every few seconds, by address and without signing in: so /metrics is no
    route, and is not limited, logged or counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, *, is_served: bool) -> None:
        """Register the metrics.

        Args:
            app: The next application.
            metrics: The metrics to respond with.
            is_served: Whether /metrics is served here, and not on METRICS_PORT.
        """
        self._app = app
        self._metrics = metrics
        self._is_served = is_served
        self._in_flight = Gauge(
            "http_requests_in_flight",
            "Requests that are in flight.",
            registry=metrics.registry,
            multiprocess_mode=MULTIPROC_MODE,
        )
        self._requests = Counter(
            "http_requests_total",
            "Requests that have been handled.",
            LABELS,
            registry=metrics.registry,
        )
        self._durations = Histogram(
            "http_request_duration_seconds",
            "How long requests took, until the last byte of the response.",
            LABELS,
            registry=metrics.registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Time the request and count it, also when it fails or the client leaves."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._is_served and scope["path"] == METRICS_PATH:
            await self._respond(scope, receive, send)
            return
        started = perf_counter()
        status = CLIENT_LEFT

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(int(message["status"]))
            await send(message)

        self._in_flight.inc()
        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            status = FAILED if status == CLIENT_LEFT else status
            raise
        finally:
            self._in_flight.dec()
            method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
            count, duration = self._series(method, route_template(scope), status)
            count.inc()
            duration.observe(perf_counter() - started)

    @cache  # noqa: B019 - there is one of it, and as many entries as series
    def _series(self, *labels: str) -> tuple[Counter, Histogram]:
        return self._requests.labels(*labels), self._durations.labels(*labels)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        accept = Headers(scope=scope).get("Accept", "")
        # With several processes, this reads files, which must not block other requests.
        text, media_type = await to_thread.run_sync(self._metrics.read, accept)
        headers = {"Content-Type": media_type, "Cache-Control": "no-store"}
        await Response(text, headers=headers)(scope, receive, send)


def add_metrics(
    app: FastAPI, settings: MetricsSettings, metrics: Metrics | None = None
) -> Metrics:
    """Count requests, serve the metrics, and return them so that others can be added."""
    metrics = metrics or Metrics()
    app.state.metrics = metrics
    add_layer(
        app,
        Layer.METRICS,
        HttpMetricsMiddleware,
        metrics=metrics,
        is_served=settings.metrics_port is None,
    )

    @asynccontextmanager
    async def serve() -> AsyncIterator[State]:
        # The parent process serves the port for several processes.
        is_served = metrics.shared is not None
        with nullcontext() if is_served else serve_metrics(settings, metrics.registry):
            yield {}

    add_lifespan(app, serve)
    return metrics
