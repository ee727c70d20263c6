"""A Redis or Valkey that a test may stop and start again, one for each module of tests."""

import socket
from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from order_service_dev.redis import LocalRedis, local_redis


@pytest.fixture(scope="module")
def redis_process() -> Iterator[LocalRedis]:
    """Start the server of a module."""
    with local_redis() as server:
        yield server


@pytest.fixture
def own_redis(redis_process: LocalRedis) -> Iterator[LocalRedis]:
    """Return the server, empty; the test may stop it."""
    yield redis_process
    with Redis.from_url(redis_process.url) as redis:
        try:
            redis.config_set("maxmemory", 0)
            redis.flushall()
        except RedisConnectionError:
            redis_process.start()


@pytest.fixture
def hanging_url() -> Iterator[str]:
    """Return the URL of a server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"


__all__ = ["hanging_url", "own_redis", "redis_process"]
