"""Traces: the path of each request through this service and the systems it calls.

FastAPI makes the span of a request; OpenTelemetry's instrumentation makes those of
calls, see the modules ``spans.py``. Only clients that belong to one application are
instrumented, and they end with it: the process itself is unchanged.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes
from starlette.types import ASGIApp, Receive, Scope, Send

from ..about import DISTRIBUTION, VERSION
from ..export.shutdown import close_within_timeout
from ..http.health import METRICS_PATH, PROBE_PATHS
from ..http.middleware import Layer, add_layer
from ..lifespan import State, add_lifespan
from ..logs.context import add_log_context
from .export import ExportWhileRunning, endpoint_of, make_exporter
from .ids import add_trace_ids
from .settings import TracingSettings

UNTRACED_PATHS = PROBE_PATHS | {METRICS_PATH}
"""Probes and scrapes, sent every few seconds."""


class OnlyFromEntrances(Sampler):
    """Starts traces only from incoming requests and jobs, never from outgoing calls.

    Outgoing calls without a request or job, such as polling for due work every second,
    would be most of all traces. OTEL_TRACES_SAMPLER sets how many others are sampled;
    the sampling decision of an incoming trace is kept.
    """

    def __init__(self, sampler: Sampler) -> None:
        """Wrap the sampler that decides about all other spans."""
        self._sampler = sampler

    def should_sample(  # noqa: PLR0917 - OpenTelemetry's interface
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return the sampling decision for a span."""
        parent = get_current_span(parent_context).get_span_context()
        if kind is SpanKind.CLIENT and not parent.is_valid:
            return SamplingResult(Decision.DROP)
        return self._sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        """Return the sampler's name."""
        return f"OnlyFromEntrances({self._sampler.get_description()})"


class ErrorEventMiddleware:
    """Adds the type of an unexpected error to the request's span.

    FastAPI would add errors that leave the application, but an inner layer has turned
    them into a response.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            kind = type(error).__qualname__
            get_current_span().add_event("exception", {"exception.type": kind})
            raise


class Tracing:
    """The tracing of one application; nothing is sent without a collector."""

    def __init__(self, settings: TracingSettings) -> None:
        """Store the configuration; nothing is sent, no thread runs, before `open`."""
        self._settings = settings
        self._endpoint = endpoint_of(settings)
        self._export = ExportWhileRunning()
        self.provider: TracerProvider | None = None
        if self._endpoint:
            self.provider = _make_provider(settings)
            self.provider.add_span_processor(self._export)
            add_log_context(add_trace_ids)

    @property
    def requests(self) -> TelemetryConfig:
        """Return FastAPI's configuration."""
        return {
            "tracing": self.provider is not None,
            "tracer_provider": self.provider,
            # They contain error messages, and the service has its own logs and metrics.
            "logs": False,
            "metrics": False,
            # Three more spans for each request would add little to those of its calls.
            "operation_spans": False,
            "auto_configure": False,
            "exclude": self._is_untraced,
        }

    @staticmethod
    def _is_untraced(scope: Scope) -> bool:
        return scope["path"] in UNTRACED_PATHS

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Export spans until the end, then flush the queue within a timeout."""
        self.open()
        try:
            yield
        finally:
            await close_within_timeout(self.close)
            self.abandon()

    def open(self) -> None:
        """Start to export."""
        if self._endpoint:
            self._export.open(make_exporter(self._settings, self._endpoint))

    def close(self) -> None:
        """Flush the queue; this blocks for as long as the collector does."""
        self._export.close()

    def abandon(self) -> None:
        """Make a slow `close` return at the next opportunity."""
        self._export.abandon()


@asynccontextmanager
async def open_tracing(settings: TracingSettings) -> AsyncIterator[Tracing]:
    """Trace what a process does outside of requests."""
    tracing = Tracing(settings)
    async with tracing.running():
        yield tracing


def add_tracing(app: FastAPI, tracing: Tracing) -> None:
    """Send spans while the application runs."""

    @asynccontextmanager
    async def send() -> AsyncIterator[State]:
        async with tracing.running():
            yield {}

    add_lifespan(app, send)
    if tracing.provider is not None:
        add_layer(app, Layer.TRACED_ERRORS, ErrorEventMiddleware)


def _make_provider(settings: TracingSettings) -> TracerProvider:
    service = {
        "service.name": DISTRIBUTION,
        "service.version": VERSION,
        "deployment.environment.name": settings.environment,
    }
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence.
    named = OTELResourceDetector().detect().attributes
    # The sampler of OTEL_TRACES_SAMPLER; by default, all traces are sampled.
    chosen = TracerProvider(shutdown_on_exit=False).sampler
    return TracerProvider(
        sampler=OnlyFromEntrances(chosen),
        resource=Resource.create({**service, **named}),
        # The lifespan shuts it down, within a timeout.
        shutdown_on_exit=False,
    )
