"""Ends what talks to others in the background, without waiting for them for long."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

import anyio

SECONDS_TO_END = 2.0
"""How long a stop may be delayed by somebody who does not answer."""


async def end_in_time(*ends: Callable[[], None]) -> None:
    """Make all of these blocking calls at once, and leave those that take too long.

    Each has a thread of its own that dies with the process. Threads of a pool would
    be waited for when the event loop closes.
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
        # Where it took too long, the loop is gone, and nobody waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    Thread(target=run, daemon=True).start()
    return ended
