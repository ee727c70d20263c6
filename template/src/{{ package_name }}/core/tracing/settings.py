"""Settings of tracing."""

from pydantic import SecretStr, field_validator

from ..configuration import Configuration


class TracingSettings(Configuration):
    """The OTLP collector; OpenTelemetry's SDK reads its other variables itself."""

    otel_exporter_otlp_endpoint: str = ""
    """The URL of the collector, such as ``http://localhost:4318``."""

    otel_exporter_otlp_headers: SecretStr = SecretStr("")
    """The headers that the collector requires: ``name=content``, with commas."""

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def refuse_other_endpoints(cls, url: str) -> str:
        """Refuse an invalid URL."""
        if url and not url.startswith(("http://", "https://")):
            message = "must start with http:// or https://"
            raise ValueError(message)
        return url
