"""The load: keep-alive connections that each send one request after the other.

A process of its own: reads what to send as JSON, prints what came back. Every response
is compared, status and body. Run by the Python of a service, which has uvloop.
"""

import asyncio
import itertools
import json
import re
import sys
from collections import Counter
from time import perf_counter
from typing import Any

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Run:
    """What all connections of one run share."""

    def __init__(self, plan: dict[str, Any]) -> None:
        values, start = plan["values"], plan["start"] % len(plan["values"])
        pairs = [self._pair(plan, value) for value in values[start:] + values[:start]]
        self.pairs = itertools.cycle(pairs)
        self.status: int = plan["status"]
        self.allowed: list[int] = plan["allowed"]
        self.is_pattern: bool = plan["is_pattern"]
        self.seconds: float = plan["seconds"]
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.wrong = ""
        self.open = 0
        self.finished = asyncio.Event()

    @staticmethod
    def _pair(plan: dict[str, Any], value: list[str]) -> tuple[bytes, bytes]:
        request, expected = plan["request"], plan["expected"]
        for name, text in zip(("@id@", "@at@"), value, strict=True):
            request, expected = request.replace(name, text), expected.replace(name, text)
        return request.encode(), expected.encode()

    def check(self, response: bytes, body: bytes, expected: bytes) -> None:
        """Count the response, and remember the first wrong one."""
        status = int(response[9:12])
        self.statuses[status] += 1
        if status == self.status:
            right = re.fullmatch(expected, body) if self.is_pattern else body == expected
        else:
            right = status in self.allowed
        if not right and not self.wrong:
            self.wrong = f"{response[:2000]!r} instead of {self.status} {expected[:1000]!r}"

    async def measure(self, port: int, connections: int) -> dict[str, Any]:
        """Send until the time is over, and wait for the last responses."""
        loop = asyncio.get_running_loop()
        start = perf_counter()
        self.deadline = start + self.seconds
        self.open = connections
        opening = (
            loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
            for _ in range(connections)
        )
        await asyncio.gather(*opening)
        await asyncio.wait_for(self.finished.wait(), self.seconds + 60)
        return {
            "seconds": perf_counter() - start,
            "statuses": self.statuses,
            "wrong": self.wrong,
            "milliseconds": [round(1000 * one, 3) for one in sorted(self.latencies)],
        }


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.is_done = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.sent = perf_counter()
        if self.sent >= self.run.deadline or self.run.wrong:
            self.is_done = True
            self.transport.close()
            return
        self.received, self.size = b"", 0
        request, self.expected = next(self.run.pairs)
        self.transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.size:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return
            self.head = end + 4
            found = LENGTH.search(self.received, 0, end)
            self.size = self.head + (int(found[1]) if found else 0)
        if len(self.received) >= self.size:
            self.run.latencies.append(perf_counter() - self.sent)
            self.run.check(self.received, self.received[self.head :], self.expected)
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_done:
            self.run.wrong = self.run.wrong or f"The server closed a connection: {exc!r}"
        self.run.open -= 1
        if not self.run.open:
            self.run.finished.set()


async def main() -> None:
    """Read the plan, run it and print the result."""
    plan = json.load(sys.stdin)
    json.dump(await Run(plan).measure(plan["port"], plan["connections"]), sys.stdout)


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())
