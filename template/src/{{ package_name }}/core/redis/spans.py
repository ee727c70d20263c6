"""A span for each command that is sent to Redis."""

from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.trace import TracerProvider

from .client import RedisClient


def trace_redis(redis: RedisClient, provider: TracerProvider | None) -> None:
    """Trace the client of these connections, if anything is traced."""
    if provider is not None:
        RedisInstrumentor.instrument_client(redis.connections, tracer_provider=provider)
