"""Sends spans to a collector, over OTLP, and never makes anybody wait for it."""

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

from ..settings import ServiceSettings
from .scrubbing import scrubbed

log = structlog.stdlib.get_logger(__name__)

PROTOCOL = "http/protobuf"

WARNING_SECONDS = 60.0
"""How often the log says, at most, that spans are lost."""

EXPORTER_LOG = logging.getLogger(trace_exporter.__name__)
BATCH_LOG = logging.getLogger("opentelemetry.sdk._shared_internal")


class _FailureFilter(logging.Filter):
    """Keeps the exporter's lines out of the log, and remembers what they are about.

    Their text may name the collector's address with everything in it.
    """

    reason = "timeout"

    def filter(self, record: logging.LogRecord) -> bool:
        for told in record.args or ():
            if isinstance(told, Exception):
                self.reason = type(told).__name__
            elif isinstance(told, int):
                self.reason = str(told)
        return False


FAILURES = _FailureFilter()
"""One for the process, as the exporter's log is."""


def endpoint_of(settings: ServiceSettings) -> str | None:
    """Say where spans go, by the variables that OpenTelemetry defines, if anywhere."""
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if is_off or os.environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return None
    # What is said of traces alone wins, and is no base to append a path to.
    if own := os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return own
    if base := settings.otel_exporter_otlp_endpoint:
        return f"{base.removesuffix('/')}/v1/traces"
    return None


def make_exporter(settings: ServiceSettings, endpoint: str) -> SpanExporter:
    """Make what sends; certificates, compression and timeouts are OTEL_* variables."""
    protocols = (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
        os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL"),
    )
    protocol = next(filter(None, protocols), PROTOCOL)
    if protocol != PROTOCOL:
        log.warning("trace_protocol_ignored", asked_for=protocol, used=PROTOCOL)
    # They may hold a key, so they may come from a mounted file, which only the
    # settings know of.
    given = settings.otel_exporter_otlp_headers.get_secret_value()
    if given and "OTEL_EXPORTER_OTLP_TRACES_HEADERS" not in os.environ:
        headers = parse_env_headers(given, liberal=True)
    else:
        headers = None
    return trace_exporter.OTLPSpanExporter(endpoint, headers=headers)


class ScrubbingExporter(SpanExporter):
    """Passes on scrubbed spans, and says once in a while that they do not arrive."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Take the exporter that sends."""
        self._exporter = exporter
        self._silent_until = 0.0
        self._is_shut_down = False
        # They would tell of each attempt, and of each span that a full queue drops.
        EXPORTER_LOG.addFilter(FAILURES)
        BATCH_LOG.setLevel(logging.ERROR)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; this is called in a thread of its own."""
        result = self._exporter.export([scrubbed(span) for span in spans])
        if result is not SpanExportResult.SUCCESS and monotonic() > self._silent_until:
            self._silent_until = monotonic() + WARNING_SECONDS
            log.warning("spans_lost", reason=FAILURES.reason)
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Keep nothing back."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Send no more, and give up what is being repeated."""
        if not self._is_shut_down:
            self._is_shut_down = True
            self._exporter.shutdown()


class ExportWhileRunning(SpanProcessor):
    """Exports what ends between `open` and `close`, from a thread that exists only then.

    So an application that is never started has no thread, and one that is forked before
    it starts has it in the process that serves.
    """

    def __init__(self) -> None:
        """Start with nothing to export to."""
        self._batch: BatchSpanProcessor | None = None
        self._exporter: SpanExporter | None = None

    def open(self, exporter: SpanExporter) -> None:
        """Begin to export."""
        self._exporter = ScrubbingExporter(exporter)
        self._batch = BatchSpanProcessor(self._exporter)

    def close(self) -> None:
        """Send what is left, which takes as long as the collector does."""
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.shutdown()  # type: ignore[no-untyped-call]

    def abandon(self) -> None:
        """Make a `close` that takes too long end at the next opportunity."""
        if self._exporter is not None:
            self._exporter.shutdown()

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span."""
        if (batch := self._batch) is not None:
            batch.on_end(span)

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Send what is queued."""
        return self._batch is None or self._batch.force_flush(timeout_millis)
