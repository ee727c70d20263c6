"""The ids of the trace that is going on, for what else tells of it."""

from collections.abc import MutableMapping
from typing import Any

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import (
    TraceContextTextMapPropagator,
)


def current_trace() -> dict[str, str]:
    """Give the ids of the trace and of the span, or nothing if there is none."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(span.trace_id),
        "span_id": trace.format_span_id(span.span_id),
    }


def trace_context() -> dict[str, str]:
    """Give what lets another process continue the trace, as its headers would."""
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier


def add_trace_ids(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Have a log line say which trace it belongs to, so that one leads to the other."""
    event.update(current_trace())
    return event
