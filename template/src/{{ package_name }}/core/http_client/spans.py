"""A span for each attempt to call another service, which receives the trace's ids."""

import httpx2
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import TracerProvider


def trace_http(client: httpx2.AsyncClient, provider: TracerProvider | None) -> None:
    """Trace one client, if anything is traced."""
    if provider is not None:
        HTTPX2ClientInstrumentor.instrument_client(
            client, tracer_provider=provider, meter_provider=NoOpMeterProvider()
        )
