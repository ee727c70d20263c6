"""Registers the handler of each message, and the schedule of recurring ones."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from ...settings import Settings
from ..http_client.client import HttpClient
from .cron import check_cron
from .messages import Message
from .outbox import Outbox

Sent = TypeVar("Sent", bound=Message)


@dataclass(frozen=True)
class JobContext:
    """The arguments of a handler."""

    message_id: UUID
    """The same at every attempt: use it as ``Idempotency-Key`` of outgoing calls."""
    session: AsyncSession
    """The job's transaction, which the runner commits."""
    outbox: Outbox
    """Adds further messages, in the same transaction."""
    http: HttpClient
    settings: Settings


class DuplicateHandlerError(RuntimeError):
    """Two handlers are registered for the same message."""


Handler = Callable[[Sent, JobContext], Awaitable[None]]


@dataclass(frozen=True)
class Handling:
    """A message class and the function that handles it."""

    message: type[Message]
    call: Callable[[Any, JobContext], Awaitable[None]]


@dataclass(frozen=True)
class Schedule:
    """A message that is sent on a schedule."""

    cron: str
    message: Message


class Jobs:
    """The handlers and schedules of one feature."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.handlings: list[Handling] = []
        self.schedules: list[Schedule] = []

    def handles(self, message: type[Sent]) -> Callable[[Handler[Sent]], Handler[Sent]]:
        """Register a function as the handler of a message class.

        Args:
            message: The message class.
        """

        def register(handler: Handler[Sent]) -> Handler[Sent]:
            self.handlings.append(Handling(message, handler))
            return handler

        return register

    def schedule(self, cron: str, message: Message) -> None:
        """Send a message on a schedule.

        Args:
            cron: In UTC: minute, hour, day of the month, month, day of the week (0 is
                Sunday). All five must match.
            message: The message, the same each time.

        Raises:
            ValueError: the cron expression is invalid.
        """
        self.schedules.append(Schedule(check_cron(cron), message))


@dataclass(frozen=True)
class Handlers:
    """The handlers and schedules of all features."""

    by_name: dict[str, Handling] = field(default_factory=dict)
    schedules: list[Schedule] = field(default_factory=list)

    @classmethod
    def of(cls, features: Iterable[Jobs]) -> "Handlers":
        """Combine the handlers of features.

        Raises:
            DuplicateHandlerError: two handlers are registered for the same message.
        """
        handlers = cls()
        for jobs in features:
            for handling in jobs.handlings:
                name = handling.message.name
                if name in handlers.by_name:
                    message = f"The message {name} has two handlers."
                    raise DuplicateHandlerError(message)
                handlers.by_name[name] = handling
            handlers.schedules.extend(jobs.schedules)
        return handlers
