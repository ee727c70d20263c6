"""Waits while the database or broker is unavailable, instead of failing."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import structlog
from sqlalchemy.exc import SQLAlchemyError

log = structlog.stdlib.get_logger(__name__)

Result = TypeVar("Result")

PAUSE_SECONDS = 1.0

DATABASE_ERRORS = (SQLAlchemyError, OSError)
"""What an unavailable, starting or not yet migrated database raises; a timeout is an
``OSError``, too."""


class Outage:
    """Logs the begin and the end of an outage, once each."""

    def __init__(self, what: str) -> None:
        """Set the name for the log."""
        self._unavailable = f"{what}_unavailable"
        self._available = f"{what}_available"
        self._is_down = False

    def begin(self, error: Exception) -> None:
        """Log the outage, unless it has been logged."""
        if not self._is_down:
            log.warning(self._unavailable, error_type=type(error).__name__)
        self._is_down = True

    def end(self) -> None:
        """Log the end of the outage, if there was one."""
        if self._is_down:
            log.info(self._available)
        self._is_down = False


async def pause(event: anyio.Event, seconds: float = PAUSE_SECONDS) -> None:
    """Wait for some seconds, or until the event is set."""
    with anyio.move_on_after(seconds):
        await event.wait()


async def retry_while_unavailable(
    call: Callable[[], Awaitable[Result]], until: anyio.Event
) -> Result:
    """Make a call to the database, and retry it while the database is unavailable.

    Args:
        call: A transaction that is safe to retry.
        until: Ends the retries; once it is set, an error is raised.
    """
    outage = Outage("database")
    while True:
        try:
            result = await call()
        except DATABASE_ERRORS as error:
            if until.is_set():
                raise
            outage.begin(error)
            await pause(until)
        else:
            outage.end()
            return result
