"""A span for each statement that is sent to the database."""

from opentelemetry.instrumentation.sqlalchemy.engine import EngineTracer
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import TracerProvider
from sqlalchemy.ext.asyncio import AsyncEngine

SCOPE = "opentelemetry.instrumentation.sqlalchemy"


def trace_engine(engine: AsyncEngine, provider: TracerProvider | None) -> None:
    """Trace one engine, if anything is traced.

    This is the part of OpenTelemetry's instrumentor that watches an engine. The
    instrumentor itself refuses SQLAlchemy 2.1, although it works with it, and would
    have every engine of the process report to one application.
    """
    if provider is None:
        return
    # It also counts connections, which pool.py does.
    meter = NoOpMeterProvider().get_meter(SCOPE)
    EngineTracer(  # type: ignore[no-untyped-call]
        provider.get_tracer(SCOPE),
        engine.sync_engine,
        meter.create_up_down_counter("db.client.connections.usage"),
    )
