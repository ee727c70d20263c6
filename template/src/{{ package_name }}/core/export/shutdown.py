"""Ends background exports within a timeout."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

import anyio

SECONDS_TO_END = 2.0
"""How long a collector that does not respond may delay the shutdown."""


async def close_within_timeout(*ends: Callable[[], None]) -> None:
    """Run these blocking calls concurrently, and abandon those that time out.

    Each has its own daemon thread, which ends with the process. Closing the event loop
    would wait for threads of a pool.
    """
    ended = [_start(end) for end in ends]
    with anyio.move_on_after(SECONDS_TO_END, shield=True):
        for one in ended:
            await one.wait()


def _start(end: Callable[[], None]) -> asyncio.Event:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def run() -> None:
        end()
        # After the timeout the loop may be closed, and nothing waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    Thread(target=run, daemon=True).start()
    return ended
