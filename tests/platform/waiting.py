"""Waits until something has happened, in place of sleeping for a fixed time."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import anyio
import pytest

SECONDS_TO_WAIT = 60
"""A limit for a broken service: a working one takes a small part of it."""

INTERVAL = 0.01


async def wait_until(condition: Callable[[], Any], *, seconds: float = SECONDS_TO_WAIT) -> None:
    """Check a condition again and again until it is true; it may return an awaitable."""
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        result = condition()
        if await result if hasattr(result, "__await__") else result:
            return
        await anyio.sleep(INTERVAL)
    pytest.fail(f"The condition was still false after {seconds} s.")


def wait_in_thread_until(condition: Callable[[], Any], *, seconds: float = SECONDS_TO_WAIT) -> None:
    """Check a condition again and again until it is true, without an event loop."""
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        if condition():
            return
        sleep(INTERVAL)
    pytest.fail(f"The condition was still false after {seconds} s.")
