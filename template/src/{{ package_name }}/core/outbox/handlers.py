"""Which job belongs to which message, and which messages the clock sends."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from ...settings import Settings
from ..discovery import DiscoveryError, find_modules
from ..http_client.client import HttpClient
from .cron import check_cron
from .messages import Message
from .outbox import Outbox

Sent = TypeVar("Sent", bound=Message)


@dataclass(frozen=True)
class JobContext:
    """What a handler works with."""

    message_id: UUID
    """The same at every attempt: the ``Idempotency-Key`` of outgoing calls."""
    session: AsyncSession
    """The job's one transaction, which the runner commits."""
    outbox: Outbox
    """Takes further messages, in that transaction."""
    http: HttpClient
    settings: Settings


Handler = Callable[[Sent, JobContext], Awaitable[None]]


@dataclass(frozen=True)
class Handling:
    """A kind of message and what does its job."""

    message: type[Message]
    call: Callable[[Any, JobContext], Awaitable[None]]


@dataclass(frozen=True)
class Schedule:
    """A message that the clock sends."""

    cron: str
    message: Message


class Jobs:
    """What one feature does outside of requests."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.handlings: list[Handling] = []
        self.schedules: list[Schedule] = []

    def handles(self, message: type[Sent]) -> Callable[[Handler[Sent]], Handler[Sent]]:
        """Have a function do the job of each message of a kind.

        Args:
            message: The kind of message.
        """

        def register(handler: Handler[Sent]) -> Handler[Sent]:
            self.handlings.append(Handling(message, handler))
            return handler

        return register

    def schedule(self, cron: str, message: Message) -> None:
        """Have a message sent at certain times.

        Args:
            cron: When, in UTC: minute, hour, day of the month, month, day of the week
                (0 is Sunday). All five have to fit.
            message: What to send, the same each time.

        Raises:
            ValueError: that is not how times are written.
        """
        self.schedules.append(Schedule(check_cron(cron), message))


@dataclass(frozen=True)
class Handlers:
    """The jobs of all features."""

    by_name: dict[str, Handling] = field(default_factory=dict)
    schedules: list[Schedule] = field(default_factory=list)

    @classmethod
    def of(cls, features: Iterable[Jobs]) -> "Handlers":
        """Put the jobs of features together.

        Raises:
            DiscoveryError: two handlers want the same messages.
        """
        handlers = cls()
        for jobs in features:
            for handling in jobs.handlings:
                name = handling.message.name
                if name in handlers.by_name:
                    message = f"The message {name} has two handlers."
                    raise DiscoveryError(message)
                handlers.by_name[name] = handling
            handlers.schedules.extend(jobs.schedules)
        return handlers


def find_handlers() -> Handlers:
    """Find the jobs of every feature.

    Raises:
        DiscoveryError: a module of jobs has no ``jobs``, a message has no handler,
            or it has two.
    """
    handlers = Handlers.of(map(_jobs_of, find_modules("jobs")))
    for module in find_modules("messages"):
        for message in _messages_of(module):
            if message.name not in handlers.by_name:
                text = f"Nothing handles {module.__name__}.{message.__name__}."
                raise DiscoveryError(text)
    return handlers


def _jobs_of(module: ModuleType) -> Jobs:
    jobs = getattr(module, "jobs", None)
    if not isinstance(jobs, Jobs):
        message = f"{module.__name__} must define `jobs`, a Jobs."
        raise DiscoveryError(message)
    return jobs


def _messages_of(module: ModuleType) -> list[type[Message]]:
    return [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, Message)
        and thing.__module__ == module.__name__
        and thing is not Message
    ]
