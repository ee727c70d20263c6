"""Settings of metrics."""

from pydantic import Field

from ..http.settings import HttpSettings


class MetricsSettings(HttpSettings):
    """Where metrics are served."""

    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    """A separate port for /metrics; without it, /metrics is on PORT."""
