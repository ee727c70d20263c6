"""The ids of the current trace, for logs, error reports and messages."""

from collections.abc import MutableMapping
from typing import Any

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import (
    TraceContextTextMapPropagator,
)


def current_trace() -> dict[str, str]:
    """Return the ids of the current trace and span, or nothing without one."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(span.trace_id),
        "span_id": trace.format_span_id(span.span_id),
    }


def trace_context() -> dict[str, str]:
    """Return the W3C trace context headers, to continue the trace elsewhere."""
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier


def add_trace_ids(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the trace ids to a log line."""
    event.update(current_trace())
    return event
