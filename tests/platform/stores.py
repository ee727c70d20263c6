"""The stores of limits and of the cache, without an application around them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from order_service.settings import Settings

from .service import PACKAGE, has


@asynccontextmanager
async def open_limiter(settings: Settings) -> AsyncIterator[Any]:
    """Yield a rate limiter that counts where that of the service does."""
    limiter: Any = import_module(f"{PACKAGE}.core.rate_limits.limits").RateLimiter
    if not has("redis"):
        memory: Any = import_module(f"{PACKAGE}.core.rate_limits.memory").MemoryCounts
        yield limiter(memory(), settings)
        return
    counts: Any = import_module(f"{PACKAGE}.core.rate_limits.redis").SharedCounts
    async with import_module(f"{PACKAGE}.core.redis.client").open_redis(settings) as redis:
        yield limiter(counts(redis), settings)


@asynccontextmanager
async def open_cache_store(settings: Settings) -> AsyncIterator[Any]:
    """Yield a cache store of the kind that the service has."""
    if not has("redis"):
        yield import_module(f"{PACKAGE}.core.cache.memory").MemoryCacheStore()
        return
    store: Any = import_module(f"{PACKAGE}.core.cache.redis").RedisCacheStore
    async with import_module(f"{PACKAGE}.core.redis.client").open_redis(settings) as redis:
        yield store(redis)
