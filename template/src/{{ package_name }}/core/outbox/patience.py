"""Waiting for a database that does not answer, instead of failing with it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import structlog
from sqlalchemy.exc import SQLAlchemyError

log = structlog.stdlib.get_logger(__name__)

Result = TypeVar("Result")

PAUSE_SECONDS = 1.0

# Named, because formatting for Python 3.14 drops parentheses that 3.11 needs.
SILENCE = (SQLAlchemyError, OSError)
"""What a database raises that is away, starting, or not yet migrated; a time limit is
an ``OSError``, too."""


class Outage:
    """Tells once that something does not answer, and once that it does again."""

    def __init__(self, what: str) -> None:
        """Take the name that the log knows it by."""
        self._unavailable = f"{what}_unavailable"
        self._available = f"{what}_available"
        self._is_down = False

    def begin(self, error: Exception) -> None:
        """Note that it does not answer."""
        if not self._is_down:
            log.warning(self._unavailable, error_type=type(error).__name__)
        self._is_down = True

    def end(self) -> None:
        """Note that it answers."""
        if self._is_down:
            log.info(self._available)
        self._is_down = False


async def pause(event: anyio.Event, seconds: float = PAUSE_SECONDS) -> None:
    """Wait for a time, or less if something happens."""
    with anyio.move_on_after(seconds):
        await event.wait()


async def persistently(
    call: Callable[[], Awaitable[Result]], until: anyio.Event
) -> Result:
    """Make a call to the database, again and again while it does not answer.

    Args:
        call: A transaction that may be repeated.
        until: What ends the patience; from then on, an error is raised.
    """
    outage = Outage("database")
    while True:
        try:
            result = await call()
        except SILENCE as error:
            if until.is_set():
                raise
            outage.begin(error)
            await pause(until)
        else:
            outage.end()
            return result
