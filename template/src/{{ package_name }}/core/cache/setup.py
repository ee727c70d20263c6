"""The read cache of one application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from ..lifespan import State, add_lifespan
from .reading import Cache, CacheStore
from .settings import CacheSettings


def add_cache(app: FastAPI, settings: CacheSettings, store: CacheStore) -> None:
    """Give routes a cache of what they read.

    Args:
        app: The application.
        settings: How long reads are cached.
        store: Where they are cached.
    """

    @asynccontextmanager
    async def share_cache() -> AsyncIterator[State]:
        cache = Cache(store, settings)
        async with cache.settling():
            yield {"cache": cache}

    add_lifespan(app, share_cache)
