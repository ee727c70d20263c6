"""Ends background exports within a timeout."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

import anyio

SECONDS_TO_END = 2.0
"""How long a collector that does not respond may delay the shutdown."""


async def close_within_timeout(end: Callable[[], None]) -> None:
    """Run this blocking call, and abandon it if it times out.

    It has a daemon thread of its own, which ends with the process. Closing the event
    loop would wait for threads of a pool.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def run() -> None:
        end()
        # After the timeout the loop may be closed, and nothing waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    Thread(target=run, daemon=True).start()
    with anyio.move_on_after(SECONDS_TO_END, shield=True):
        await ended.wait()
