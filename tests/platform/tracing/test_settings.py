"""The standard variables of OpenTelemetry configure the export of spans."""

from pathlib import Path

import pytest
import structlog
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from order_service.core.configuration import SettingsError
from order_service.core.tracing.export import endpoint_of, make_exporter
from order_service.settings import Settings

from ..spans import traced

COLLECTOR = "http://collector:4318"
TRACES = "http://traces:4318/custom"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ENDPOINT", "HEADERS", "PROTOCOL"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_TRACES_{name}", raising=False)
    monkeypatch.setenv("ENVIRONMENT", "test")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"ENDPOINT": COLLECTOR}, f"{COLLECTOR}/v1/traces"),
        ({"ENDPOINT": f"{COLLECTOR}/"}, f"{COLLECTOR}/v1/traces"),
        ({"ENDPOINT": COLLECTOR, "TRACES_ENDPOINT": TRACES}, TRACES),
        ({"TRACES_ENDPOINT": TRACES}, TRACES),
    ],
)
def test_endpoint(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str | None
) -> None:
    for name, content in variables.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", content)
    given = {"otel_exporter_otlp_endpoint": variables.get("ENDPOINT", "")}
    settings = Settings.for_schema().model_copy(update=given)

    assert endpoint_of(settings) == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")],
)
def test_tracing_can_be_disabled(monkeypatch: pytest.MonkeyPatch, name: str, content: str) -> None:
    monkeypatch.setenv(name, content)

    assert endpoint_of(traced(Settings.for_schema())) is None


def headers_of(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> dict[str, str] | None:
    """Return the headers that an exporter is created with."""
    given: list[dict[str, str] | None] = []
    make = OTLPSpanExporter

    def note(endpoint: str, headers: dict[str, str] | None) -> OTLPSpanExporter:
        given.append(headers)
        return make(endpoint, headers=headers)

    monkeypatch.setattr(trace_exporter, "OTLPSpanExporter", note)
    make_exporter(settings, COLLECTOR).shutdown()
    return given[0]


def test_headers_are_read_from_a_secret_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "otel_exporter_otlp_headers").write_text("api-key=hunter2\n")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    settings = Settings.for_schema()

    assert headers_of(monkeypatch, settings) == {"api-key": "hunter2"}
    assert "hunter2" not in repr(settings)
    # The exporter itself reads the headers that are for traces only.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api-key=another")
    assert headers_of(monkeypatch, settings) is None


def test_unsupported_protocol_is_logged_and_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")

    with structlog.testing.capture_logs() as logged:
        make_exporter(Settings.for_schema(), COLLECTOR).shutdown()

    assert [line["event"] for line in logged] == ["trace_protocol_ignored"]


@pytest.mark.parametrize("url", ["hunter2", "grpc://hunter2:4317", "ftp://hunter2"])
def test_invalid_endpoint_is_rejected(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)

    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT: ") as caught:
        Settings.load()

    assert "hunter2" not in str(caught.value)
