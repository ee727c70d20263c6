"""A worker in this process whose metrics are read from its port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import httpx2
from sqlalchemy import insert

from order_service.core.database.session import open_engine
from order_service.core.outbox.models import OutboxMessage
from order_service.settings import Settings
from order_service.worker.jobs import jobs
from order_service.worker.messages import PurgeOutbox

from .serving import free_port
from .waiting import wait_until
from .working import working


async def store_message(settings: Settings, **values: object) -> None:
    """Put a message into the outbox whose job the worker itself brings."""
    message = {"id": uuid4(), "name": PurgeOutbox.name, "payload": {}, "context": {}, **values}
    async with open_engine(settings) as engine, engine.begin() as connection:
        await connection.execute(insert(OutboxMessage).values(message))


class WorkerMetrics:
    """The metrics of a worker."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        """Take a client of the worker's port."""
        self._client = client

    async def wait_for(self, line: str) -> str:
        """Read until there is a line, and return the whole text."""
        text = ""

        async def is_there() -> bool:
            nonlocal text
            # The worker may not listen yet.
            with suppress(httpx2.TransportError):
                text = (await self._client.get("/metrics")).raise_for_status().text
            return line in text.splitlines()

        await wait_until(is_there)
        return text


@asynccontextmanager
async def measured_worker(settings: Settings) -> AsyncIterator[WorkerMetrics]:
    """Run a worker that exposes metrics."""
    port = free_port()
    exposing = settings.model_copy(update={"metrics_port": port})
    async with (
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
        working(exposing, jobs),
    ):
        yield WorkerMetrics(client)
