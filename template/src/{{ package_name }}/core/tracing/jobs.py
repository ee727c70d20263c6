"""Jobs continue the trace of the request that asked for them."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracerProvider, SpanKind, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import (
    TraceContextTextMapPropagator,
)

from ..about import DISTRIBUTION
from ..outbox.runner import Run


class JobTracing:
    """Makes a span of each attempt, a child of the one that the message was put in by.

    OpenTelemetry's conventions for messaging offer a link or a parent. A link is for
    whoever takes many messages at once and can have but one parent. An attempt is about
    one message, and as a child it is in one trace with its request, from end to end,
    kept or not kept with it. What the clock sends has no parent, and begins a trace.
    """

    def __init__(self, provider: TracerProvider | None) -> None:
        """Take what makes spans; without it, none are made."""
        self._tracer = (provider or NoOpTracerProvider()).get_tracer(DISTRIBUTION)

    @contextmanager
    def __call__(self, run: Run) -> Iterator[None]:
        """Trace one attempt."""
        message = TraceContextTextMapPropagator().extract(run.context, Context())
        with self._tracer.start_as_current_span(
            f"process {run.name}",
            context=message,
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.system": "outbox",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": run.name,
                "messaging.message.id": str(run.message_id),
                "app.job.attempt": run.attempt,
            },
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            finally:
                span.set_attribute("app.job.outcome", run.outcome or "lost")
                if run.error is not None:
                    span.set_attribute("error.type", type(run.error).__qualname__)
                    span.set_status(StatusCode.ERROR)
