"""A proxy in front of a server, which counts round trips and breaks connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK = 65_536


class Wire:
    """The connections that lead through the proxy."""

    def __init__(self, host: str, port: int) -> None:
        """Lead to this server."""
        self._host = host
        self._port = port
        self._open: list[asyncio.StreamWriter] = []
        self._silent: set[asyncio.StreamWriter] = set()
        self.trips = 0
        """How often a client sent something and waited for the response."""
        self.connections = 0
        """How many connections were opened."""

    def cut(self) -> None:
        """Close all connections, as a server does that restarts."""
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    def silence(self) -> None:
        """Drop all that is sent on present connections, as a firewall does that forgot them."""
        self._silent.update(self._open)

    async def lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Lead one connection to the server."""
        self.connections += 1
        answers, requests = await asyncio.open_connection(self._host, self._port)
        self._open += [writer, requests]
        is_waiting = False

        async def forward() -> None:
            nonlocal is_waiting
            while sent := await reader.read(CHUNK):
                if not is_waiting:
                    self.trips += 1
                    is_waiting = True
                if requests not in self._silent:
                    requests.write(sent)

        async def back() -> None:
            nonlocal is_waiting
            while received := await answers.read(CHUNK):
                is_waiting = False
                if writer not in self._silent:
                    writer.write(received)

        tasks = [asyncio.create_task(forward()), asyncio.create_task(back())]
        with suppress(ConnectionError):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
            with suppress(ConnectionError, asyncio.CancelledError):
                await task
        for end in (writer, requests):
            end.transport.abort()


@asynccontextmanager
async def wire_to(host: str, port: int) -> AsyncIterator[tuple[Wire, int]]:
    """Open a proxy in front of a server; yield it and its port on 127.0.0.1."""
    wire = Wire(host, port)
    server = await asyncio.start_server(wire.lead, "127.0.0.1", 0)
    try:
        yield wire, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        wire.cut()
