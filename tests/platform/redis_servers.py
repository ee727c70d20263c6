"""A Redis or Valkey for the tests."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from .service import PACKAGE


@contextmanager
def open_redis_server() -> Iterator[str]:
    """Yield the URL of a server: REDIS_URL, or one started here.

    A REDIS_URL without a server is an error. Its own data is not touched: the keys of every
    test have a prefix of their own, and a TTL.
    """
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    local = import_module(f"{PACKAGE}_dev.redis")
    with local.local_redis() as server:
        yield server.url
