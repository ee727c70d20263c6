"""Exports spans to an OTLP collector in the background, without blocking requests."""

import logging
import os
from collections.abc import Sequence
from time import monotonic

import structlog
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.util.re import parse_env_headers

from .scrubbing import scrubbed
from .settings import TracingSettings

log = structlog.stdlib.get_logger(__name__)

PROTOCOL = "http/protobuf"

WARNING_SECONDS = 60.0
"""The shortest interval between two log lines about lost spans."""

EXPORTER_LOG = logging.getLogger(trace_exporter.__name__)
BATCH_LOG = logging.getLogger("opentelemetry.sdk._shared_internal")


class _FailureFilter(logging.Filter):
    """Drops the exporter's log lines, and stores the reason of the failure.

    Their text may contain the collector's URL with its credentials.
    """

    reason = "timeout"

    def filter(self, record: logging.LogRecord) -> bool:
        for argument in record.args or ():
            if isinstance(argument, Exception):
                self.reason = type(argument).__name__
            elif isinstance(argument, int):
                self.reason = str(argument)
        return False


FAILURES = _FailureFilter()
"""One per process, like the exporter's logger."""


def endpoint_of(settings: TracingSettings) -> str | None:
    """Return the endpoint from OpenTelemetry's standard variables, or ``None``."""
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if is_off or os.environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return None
    # The variable for traces takes precedence, and is not a base to append a path to.
    if own := os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return own
    if base := settings.otel_exporter_otlp_endpoint:
        return f"{base.removesuffix('/')}/v1/traces"
    return None


def make_exporter(settings: TracingSettings, endpoint: str) -> SpanExporter:
    """Make the exporter; OTEL_* variables set certificates, compression, timeouts."""
    protocols = (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
        os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL"),
    )
    protocol = next(filter(None, protocols), PROTOCOL)
    if protocol != PROTOCOL:
        log.warning("trace_protocol_ignored", asked_for=protocol, used=PROTOCOL)
    # They may contain a key, so they may come from a mounted file, which only the
    # settings read.
    given = settings.otel_exporter_otlp_headers.get_secret_value()
    if given and "OTEL_EXPORTER_OTLP_TRACES_HEADERS" not in os.environ:
        headers = parse_env_headers(given, liberal=True)
    else:
        headers = None
    return trace_exporter.OTLPSpanExporter(endpoint, headers=headers)


class ScrubbingExporter(SpanExporter):
    """Exports scrubbed spans, and logs at intervals that they are lost."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Wrap the exporter."""
        self._exporter = exporter
        self._silent_until = 0.0
        self._is_shut_down = False
        # They would log each attempt, and each span that a full queue drops.
        EXPORTER_LOG.addFilter(FAILURES)
        BATCH_LOG.setLevel(logging.ERROR)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans; called in the exporter's thread."""
        result = self._exporter.export([scrubbed(span) for span in spans])
        if result is not SpanExportResult.SUCCESS and monotonic() > self._silent_until:
            self._silent_until = monotonic() + WARNING_SECONDS
            log.warning("spans_lost", reason=FAILURES.reason)
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Do nothing: there is no buffer here."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Stop, and abandon retries."""
        if not self._is_shut_down:
            self._is_shut_down = True
            self._exporter.shutdown()


class ExportWhileRunning(SpanProcessor):
    """Exports spans that end between `open` and `close`, from a thread of that period.

    So an application that is never started has no thread, and one that is forked before
    it starts has it in the process that serves.
    """

    def __init__(self) -> None:
        """Start closed."""
        self._batch: BatchSpanProcessor | None = None
        self._exporter: SpanExporter | None = None

    def open(self, exporter: SpanExporter) -> None:
        """Start the exporter's thread."""
        self._exporter = ScrubbingExporter(exporter)
        self._batch = BatchSpanProcessor(self._exporter)

    def close(self) -> None:
        """Flush the queue; this blocks for as long as the collector does."""
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.shutdown()  # type: ignore[no-untyped-call]

    def abandon(self) -> None:
        """Make a slow `close` return at the next opportunity."""
        if self._exporter is not None:
            self._exporter.shutdown()

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span."""
        if (batch := self._batch) is not None:
            batch.on_end(span)

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Flush the queue."""
        return self._batch is None or self._batch.force_flush(timeout_millis)
