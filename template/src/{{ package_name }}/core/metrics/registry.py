"""Metrics for Prometheus: their registry, and the separate port for them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import structlog
from prometheus_client import (
    CollectorRegistry,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.exposition import choose_encoder

from ..errors import CommandError
from .settings import MetricsSettings

log = structlog.stdlib.get_logger(__name__)

MULTIPROC_MODE: Final = "livesum"
"""How the gauges of several processes become one: the sum over the living ones."""

# The creation time of each series would be another series.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one application."""

    def __init__(self, shared: CollectorRegistry | None = None) -> None:
        """Start without any.

        Args:
            shared: What is read instead of this application's own registry: one that
                adds up several processes.
        """
        self.registry = CollectorRegistry()
        self.shared = shared

    def read(self, accept: str = "") -> tuple[bytes, str]:
        """Return all metrics, and their media type for an ``Accept`` header."""
        encode, media_type = choose_encoder(accept)
        return encode(self.shared or self.registry), media_type


@contextmanager
def serve_metrics(
    settings: MetricsSettings, registry: CollectorRegistry
) -> Iterator[None]:
    """Serve a registry on METRICS_PORT, if it is set.

    Raises:
        CommandError: in production, the port cannot be used.
    """
    port = settings.metrics_port
    with ExitStack() as stack:
        try:
            if port is not None:
                server, thread = start_http_server(port, settings.host, registry)
                stack.callback(thread.join)
                stack.callback(server.server_close)
                stack.callback(server.shutdown)
        except OSError as error:
            message = f"METRICS_PORT {port} cannot be used ({error.strerror})."
            if settings.is_production:
                raise CommandError(message) from error
            # In development, all processes of the service use the same setting.
            log.warning("metrics_not_served", reason=message)
        yield
