"""A span for each attempt to call another service, which also gets to know the trace."""

import httpx2
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import TracerProvider


def trace_http(client: httpx2.AsyncClient, provider: TracerProvider) -> None:
    """Trace one client until it is closed."""
    HTTPX2ClientInstrumentor.instrument_client(
        client, tracer_provider=provider, meter_provider=NoOpMeterProvider()
    )
