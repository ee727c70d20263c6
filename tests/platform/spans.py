"""Tracing under test: spans in memory, and a collector that receives them over HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from order_service.core.tracing import tracing
from order_service.core.tracing.tracing import Tracing
from order_service.settings import Settings

from .waiting import wait_in_thread_until

UNUSED = "http://127.0.0.1:9"
"""An address that refuses connections."""


def traced(settings: Settings, endpoint: str = UNUSED) -> Settings:
    """Return settings that switch tracing on."""
    return settings.model_copy(update={"otel_exporter_otlp_endpoint": endpoint})


class KeptSpans(InMemorySpanExporter):
    """Keeps the spans of several applications, one after the other."""

    def shutdown(self) -> None:
        """Stay open for the next application."""

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans with a name."""
        return [span for span in self.get_finished_spans() if span.name == name]

    def as_text(self) -> str:
        """Return everything that the spans contain."""
        return "\n".join(span.to_json() for span in self.get_finished_spans())


def keep_spans(monkeypatch: pytest.MonkeyPatch) -> KeptSpans:
    """Keep in memory what applications that are built from now on would export."""
    exporter = KeptSpans()
    monkeypatch.setattr(tracing, "make_exporter", lambda *_: exporter)
    return exporter


@contextmanager
def open_tracer_provider(settings: Settings) -> Iterator[TracerProvider]:
    """Trace without an application."""
    capability = Tracing(traced(settings))
    assert capability.provider
    capability.open()
    try:
        yield capability.provider
    finally:
        capability.close()


def ids_of(span: ReadableSpan) -> tuple[str, str]:
    """Return the ids of the trace and of the span, as headers and logs write them."""
    assert span.context
    return (
        trace.format_trace_id(span.context.trace_id),
        trace.format_span_id(span.context.span_id),
    )


def parent_of(span: ReadableSpan) -> str | None:
    """Return the id of the parent span."""
    return trace.format_span_id(span.parent.span_id) if span.parent else None


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span as a dictionary that a test may change."""
    return dict(span.attributes or {})


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as a collector has received it."""

    service: str
    scope: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Collector:
    """Receives traces over HTTP, as the OpenTelemetry collector does."""

    url: str
    spans: list[ReceivedSpan] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers of every request; paths besides /v1/traces take anything."""

    def receive(self, body: bytes) -> None:
        """Decode spans."""
        message = ExportTraceServiceRequest.FromString(body)
        for batch in message.resource_spans:
            resource = _values(batch.resource.attributes)
            for scope_spans in batch.scope_spans:
                for span in scope_spans.spans:
                    received = ReceivedSpan(
                        service=resource["service.name"],
                        scope=scope_spans.scope.name,
                        name=span.name,
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_id=span.parent_span_id.hex(),
                        attributes=_values(span.attributes),
                        resource=resource,
                    )
                    self.spans.append(received)

    def wait_for(self, *expected: tuple[str, str]) -> None:
        """Wait for spans, each given by its service and its name."""
        wait_in_thread_until(lambda: self.received() >= set(expected))

    def received(self) -> set[tuple[str, str]]:
        """Return service and name of every span so far."""
        return {(span.service, span.name) for span in self.spans}

    def find(self, service: str, name: str) -> ReceivedSpan:
        """Return the first span of a service with a name."""
        return next(span for span in self.spans if (span.service, span.name) == (service, name))


@contextmanager
def open_collector(*, hangs: bool = False) -> Iterator[Collector]:
    """Run a collector.

    Args:
        hangs: Whether it reads requests and never responds.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hangs:
                stopped.wait()
                return
            headers = {name.lower(): text for name, text in self.headers.items()}
            collector.requests.append((self.path, headers))
            if self.path == "/v1/traces":
                collector.receive(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    stopped = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        host, port = server.server_address[:2]
        collector = Collector(f"http://{host!s}:{port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield collector
        finally:
            stopped.set()
            server.shutdown()
            thread.join()


def _values(attributes: Any) -> dict[str, Any]:  # noqa: ANN401 - A message of protobuf.
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
