"""Workers in this process, a receiver of the calls of jobs, and the rows of the outbox."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import anyio
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from order_service.core.database.session import open_engine
from order_service.core.outbox.handlers import Handlers, Jobs
from order_service.core.outbox.messages import Message
from order_service.core.outbox.models import OutboxMessage
from order_service.core.outbox.outbox import Outbox
from order_service.settings import Settings
from order_service.worker.process import Stop, work

from .waiting import SECONDS_TO_WAIT


@asynccontextmanager
async def working(settings: Settings, *features: Jobs) -> AsyncIterator[Stop]:
    """Run a worker with these jobs in this process, and stop it at the end."""
    stop = Stop()
    async with anyio.create_task_group() as group:
        group.start_soon(work, settings, Handlers.of(features), stop)
        yield stop
        stop.stopping.set()


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """Open the test's database."""
    async with open_engine(settings) as engine:
        yield engine


@pytest.fixture
def rows(engine: AsyncEngine) -> "Rows":
    """Return access to the outbox."""
    return Rows(engine)


class Rows:
    """The messages of one database."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Read the outbox of this database."""
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def add(self, message: Message, **context: str) -> UUID:
        """Add a message to the outbox, as a request would."""
        async with self._sessions.begin() as session:
            return await Outbox(session, context).add(message)

    async def get(self, message_id: UUID) -> OutboxMessage:
        """Read a message."""
        async with self._sessions() as session:
            return await session.get_one(OutboxMessage, message_id)

    async def run(self, statement: str, **parameters: object) -> None:
        """Change rows without the service."""
        async with self._sessions.begin() as session:
            await session.execute(text(statement), parameters)

    async def set(self, message_id: UUID, assignment: str) -> None:
        """Change one row without the service."""
        statement = f"UPDATE outbox_messages SET {assignment} WHERE id = :id"  # noqa: S608
        await self.run(statement, id=message_id)

    async def all(self) -> list[OutboxMessage]:
        """Read every message."""
        async with self._sessions() as session:
            return list(await session.scalars(select(OutboxMessage)))

    async def count_done(self) -> int:
        """Count the messages whose jobs are done."""
        count = select(func.count(OutboxMessage.done_at))
        async with self._sessions() as session:
            return await session.scalar(count) or 0

    async def all_done(self) -> bool:
        """Return whether the jobs of all messages are done."""
        return all(row.done_at for row in await self.all())

    async def all_published(self) -> bool:
        """Return whether each message was published, or its job was started."""
        return all(row.publications or row.attempts for row in await self.all())

    async def is_done(self, message_id: UUID) -> bool:
        """Return whether a message's job is done."""
        return (await self.get(message_id)).done_at is not None

    async def all_failed(self) -> bool:
        """Return whether the jobs of all messages have failed for good."""
        return all(row.failed_at for row in await self.all())


@dataclass
class Call:
    """A request that a job has sent."""

    key: str | None
    request_id: str | None
    body: dict[str, Any]


@dataclass
class Sink:
    """A service that jobs call; it may hold its responses back, or return an error."""

    url: str = ""
    status: int = 204
    calls: list[Call] = field(default_factory=list)
    responding: threading.Event = field(default_factory=threading.Event)
    """While it is not set, requests wait for their response."""

    @property
    def keys(self) -> set[str | None]:
        """The idempotency keys of all calls; calls with the same key have one effect."""
        return {call.key for call in self.calls}


@contextmanager
def open_sink() -> Iterator[Sink]:
    """Run the service that jobs call."""
    sink = Sink()
    sink.responding.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sink.calls.append(
                Call(
                    self.headers["Idempotency-Key"],
                    self.headers["X-Request-ID"],
                    json.loads(body),
                )
            )
            sink.responding.wait(SECONDS_TO_WAIT)
            try:
                self.send_response(sink.status)
                self.end_headers()
            except OSError:
                pass  # The caller was killed meanwhile.

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sink.url = f"http://127.0.0.1:{server.server_port}/messages"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield sink
        finally:
            sink.responding.set()
            server.shutdown()
            thread.join()
