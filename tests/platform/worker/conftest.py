"""Fixtures of these tests: the outbox, a Redis that may be stopped, and one that hangs."""

from ..service import has

if has("jobs"):
    from ..stoppable_redis import hanging_url, own_redis, redis_process
    from ..working import engine, rows

    __all__ = ["engine", "hanging_url", "own_redis", "redis_process", "rows"]
