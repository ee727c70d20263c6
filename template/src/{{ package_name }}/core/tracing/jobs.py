"""Continues the trace of the request in the job of its message."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracerProvider, SpanKind, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import (
    TraceContextTextMapPropagator,
)

from ..about import DISTRIBUTION
from ..outbox.context import add_message_context
from ..outbox.runner import Run
from .ids import trace_context


def trace_messages() -> None:
    """Store the current trace context with new messages."""
    add_message_context(trace_context)


class JobTracing:
    """Makes a span for each attempt, a child of the span that added the message.

    OpenTelemetry's conventions for messaging offer a link or a parent. A link is for
    consumers that receive batches and can have only one parent. An attempt has one
    message, and as a child it shares the trace and the sampling decision of its
    request. A scheduled message has no parent, and begins a trace.
    """

    def __init__(self, provider: TracerProvider | None) -> None:
        """Use this tracer provider; without it, no spans are made."""
        self._tracer = (provider or NoOpTracerProvider()).get_tracer(DISTRIBUTION)

    @contextmanager
    def __call__(self, run: Run) -> Iterator[None]:
        """Wrap one attempt in a span."""
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
