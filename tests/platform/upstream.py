"""An upstream service on a local socket, which behaves as a test tells it."""

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream

Behaviour = Callable[[SocketStream], Awaitable[None]]
"""What the upstream does once a request has arrived."""


def respond(status: int = 200, body: bytes = b"", **headers: str) -> Behaviour:
    """Respond and keep the connection; ``_`` stands for ``-`` in names of headers."""
    fields = {"Content_Length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} Whatever"]
    lines += [f"{name.replace('_', '-')}: {content}" for name, content in fields.items()]
    head = "\r\n".join(lines) + "\r\n\r\n"

    async def behave(stream: SocketStream) -> None:
        await stream.send(head.encode() + body)

    return behave


async def hang(stream: SocketStream) -> None:
    """Send nothing until the client disconnects."""
    while await stream.receive():
        pass


async def reset(stream: SocketStream) -> None:
    """Reset the connection, as a process that dies does."""
    linger = struct.pack("ii", 1, 0)
    raw = stream.extra_attributes[SocketAttribute.raw_socket]()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    await stream.aclose()


async def drip(stream: SocketStream) -> None:
    """Send an endless body, a byte at a time."""
    await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        await stream.send(b".")
        await anyio.sleep(0.02)


async def babble(stream: SocketStream) -> None:
    """Send what is not HTTP."""
    await stream.send(b"220 mail.example.com ESMTP\r\n\r\n")
    await stream.aclose()


@dataclass
class Received:
    """A request, as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Upstream:
    """A service with a queue of behaviours; the last one is repeated."""

    url: str
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    """How many connections are open."""
    _behaviours: list[Behaviour] = field(default_factory=lambda: [respond()])

    def will(self, *behaviours: Behaviour) -> None:
        """Queue what happens next."""
        self._behaviours = list(behaviours)

    async def serve(self, stream: SocketStream) -> None:
        """Read requests from one connection until it closes."""
        self.connections += 1
        gone = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)
        try:
            async with stream:
                while True:
                    self.received.append(await _read_request(stream))
                    behave = self._behaviours[0]
                    if len(self._behaviours) > 1:
                        del self._behaviours[0]
                    await behave(stream)
        except gone:
            pass
        finally:
            self.connections -= 1


async def _read_request(stream: SocketStream) -> Received:
    text = b""
    while b"\r\n\r\n" not in text:
        text += await stream.receive()
    head, _, body = text.partition(b"\r\n\r\n")
    start, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): content for name, content in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += await stream.receive()
    method, target, _ = start.split(" ")
    return Received(method, target, headers, body)


@asynccontextmanager
async def open_upstream() -> AsyncIterator[Upstream]:
    """Start the service, and cancel what it still does at the end."""
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        port = listener.extra_attributes[SocketAttribute.local_port]()
        upstream = Upstream(f"http://127.0.0.1:{port}")
        tasks.start_soon(listener.serve, upstream.serve)
        yield upstream
        tasks.cancel_scope.cancel()


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: it did not come true in time.
    """
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.005)
