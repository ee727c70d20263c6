"""A span for each command that Redis is sent."""

from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.trace import TracerProvider
from redis.asyncio import Redis


def trace_redis(client: Redis, provider: TracerProvider) -> None:
    """Trace one client until it is closed."""
    RedisInstrumentor.instrument_client(client, tracer_provider=provider)
