"""Fixtures of these tests: a Redis that may be stopped, and one that hangs."""

from ..service import has

if has("redis"):
    from ..stoppable_redis import hanging_url, own_redis, redis_process

    __all__ = ["hanging_url", "own_redis", "redis_process"]
