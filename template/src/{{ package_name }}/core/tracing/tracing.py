"""The way of each request through this service and the systems it calls.

FastAPI makes the span of a request; OpenTelemetry's instrumentation makes those of the
calls it leads to, see database_spans.py and its like. Only clients that belong to one
application are instrumented, and they end with it: nothing in the process is changed.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ..about import DISTRIBUTION, VERSION
from ..http.health import PROBE_PATHS
from ..settings import ServiceSettings
from .export import ExportWhileRunning, endpoint_of, make_exporter


class OnlyFromEntrances(Sampler):
    """Begins a trace where work comes in, and never with a call to another system.

    What nobody has asked for, such as looking for due work every second or answering
    a probe, would be most of all traces. How many others are kept is for
    OTEL_TRACES_SAMPLER; what a caller has decided for its trace holds here, too.
    """

    def __init__(self, sampler: Sampler) -> None:
        """Take the sampler that decides about all other spans."""
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
        """Decide about one span."""
        parent = get_current_span(parent_context).get_span_context()
        if kind is SpanKind.CLIENT and not parent.is_valid:
            return SamplingResult(Decision.DROP)
        return self._sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        """Name the sampler."""
        return f"OnlyFromEntrances({self._sampler.get_description()})"


class ErrorEventMiddleware:
    """Notes on a request's span which kind of error nobody expected.

    FastAPI would note errors that leave the application, and they are answered before.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            kind = type(error).__qualname__
            get_current_span().add_event("exception", {"exception.type": kind})
            raise


class Tracing:
    """What traces one application, if there is a collector to send to."""

    def __init__(
        self, settings: ServiceSettings, untraced: AbstractSet[str] = PROBE_PATHS
    ) -> None:
        """Prepare it; nothing is sent, and no thread runs, before `open`.

        Args:
            settings: The service's settings.
            untraced: The paths that are asked for every few seconds, by machines.
        """
        self._settings = settings
        self._untraced = untraced
        self._endpoint = endpoint_of(settings)
        self._export = ExportWhileRunning()
        self.provider: TracerProvider | None = None
        if self._endpoint:
            self.provider = _make_provider(settings)
            self.provider.add_span_processor(self._export)

    @property
    def requests(self) -> TelemetryConfig:
        """Give what FastAPI has to know."""
        return {
            "tracing": self.provider is not None,
            "tracer_provider": self.provider,
            # They carry messages of errors, and the service logs and counts by itself.
            "logs": False,
            "metrics": False,
            # Three more spans for each request would say little: see what they call.
            "operation_spans": False,
            "auto_configure": False,
            "exclude": self._is_untraced,
        }

    def _is_untraced(self, scope: Scope) -> bool:
        return scope["path"] in self._untraced

    def watch_requests(self, app: FastAPI) -> None:
        """Note unexpected errors, inside of the middleware that answers them."""
        if self.provider is not None:
            app.user_middleware.append(Middleware(ErrorEventMiddleware))

    def open(self) -> None:
        """Begin to send."""
        if self._endpoint:
            self._export.open(make_exporter(self._settings, self._endpoint))

    def close(self) -> None:
        """Send what is left, which takes as long as the collector does."""
        self._export.close()

    def abandon(self) -> None:
        """Make a `close` that takes too long end at the next opportunity."""
        self._export.abandon()


def _make_provider(settings: ServiceSettings) -> TracerProvider:
    service = {
        "service.name": DISTRIBUTION,
        "service.version": VERSION,
        "deployment.environment.name": settings.environment,
    }
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES know the place better.
    named = OTELResourceDetector().detect().attributes
    # The sampler that OTEL_TRACES_SAMPLER asks for; by default, everything is kept.
    chosen = TracerProvider(shutdown_on_exit=False).sampler
    return TracerProvider(
        sampler=OnlyFromEntrances(chosen),
        resource=Resource.create({**service, **named}),
        # The lifespan ends it, within a limit of time.
        shutdown_on_exit=False,
    )
