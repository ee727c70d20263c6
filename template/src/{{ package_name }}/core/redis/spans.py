"""A span for each command that is sent to Redis."""

from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.trace import TracerProvider

from .client import RedisClient


def trace_redis(redis: RedisClient, provider: TracerProvider | None) -> None:
    """Trace all clients on these connections, if anything is traced."""
    if provider is not None:
        for client in redis.clients:
            RedisInstrumentor.instrument_client(client, tracer_provider=provider)
