"""What the rate limiter costs with one client and with many, as ratios to one client.

``uv run python benchmarks/limiter.py PATH_OF_SERVICE``, of a service that counts in memory. Each
row is the median of interleaved rounds: in this process against the counts alone, then over HTTP
against the running service, whose clients are told apart by X-Forwarded-For.
"""

import asyncio
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

ROUNDS = 5
HITS = 20_000
REQUESTS = 2_000
ADDRESSES = 100_000
CLIENTS = [1, 1_000, 100_000, 1_000_000]


def address(number: int) -> str:
    """Return an IPv4 address of its own for each number."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def measure_counts() -> None:
    """Print the microseconds of a hit with so many live clients: the inner process."""
    # Only this half runs in the service's environment.
    limits: Any = import_module("order_service.core.rate_limits.limits")
    memory: Any = import_module("order_service.core.rate_limits.memory")
    limit = limits.Limit("default", amount=10**9, window=3_600_000)

    async def hit(counts: Any, keys: list[str]) -> float:  # noqa: ANN401 - The service's class.
        demands = [[limits.Demand(limit, key)] for key in keys]
        started = time.process_time()
        for demand in demands:
            await counts.spend(demand)
        return (time.process_time() - started) / len(keys) * 1e6

    async def run() -> None:
        costs: dict[str, list[float]] = {}
        stores: dict[str, tuple[Any, int]] = {}
        for clients in CLIENTS:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            counts = memory.MemoryCounts(most_clients=max(CLIENTS))
            await hit(counts, [address(number) for number in range(clients)])
            used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
            name = f"{clients:,} live clients"
            stores[name] = counts, clients
            print(f"{name}: {used} MB more", file=sys.stderr)
        stores[f"always another client, {memory.MOST_CLIENTS:,} kept"] = memory.MemoryCounts(), 0
        numbers = count()
        for _ in range(ROUNDS):
            for name, (counts, clients) in stores.items():
                step = max(1, clients // HITS) | 1
                keys = [
                    address(number * step % clients if clients else next(numbers))
                    for number in range(HITS)
                ]
                costs.setdefault(name, []).append(await hit(counts, keys))
        print(json.dumps(costs))

    asyncio.run(run())


@contextmanager
def serving(service: Path) -> Iterator[HTTPConnection]:
    """Run the service, and yield a connection from a proxy that it trusts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "PORT": str(port),
        "ENVIRONMENT": "test",
        "LOG_LEVEL": "WARNING",
        "FORWARDED_ALLOW_IPS": "127.0.0.1",
        "JWT_SECRET": "a key of thirty-two bytes, at least",
        "DATABASE_URL": os.environ.get("DATABASE_URL", "postgresql+asyncpg://localhost/unused"),
    }
    command = [str(next((service / ".venv" / "bin").glob("*-service"))), "serve"]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, cwd=service, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            yield _connect(port, process)
        finally:
            process.terminate()


def _connect(port: int, process: "subprocess.Popen[bytes]") -> HTTPConnection:
    while process.poll() is None:
        with suppress(OSError):
            connection = HTTPConnection("127.0.0.1", port)
            connection.connect()
            return connection
        time.sleep(0.1)
    message = f"The service ended with status {process.returncode}."
    raise RuntimeError(message)


def ask(connection: HTTPConnection, client: str) -> None:
    """Send a request of a client and check that it was counted."""
    connection.request("GET", "/nowhere", headers={"X-Forwarded-For": client})
    response = connection.getresponse()
    response.read()
    if response.status != 404 or "RateLimit" not in response.headers:
        message = f"{response.status} {dict(response.headers)}"
        raise RuntimeError(message)


def measure_http(service: Path) -> dict[str, list[float]]:
    """Return the microseconds of a request: one client's, and each from another address."""
    os.environ["RATE_LIMIT_DEFAULT"] = "1000000/15 minutes"
    costs: dict[str, list[float]] = {"one address": [], f"one of {ADDRESSES:,} addresses": []}
    one, many = costs.values()
    with serving(service) as alone, serving(service) as crowded:
        for number in range(ADDRESSES):
            ask(crowded, address(number))
        for round_number in range(ROUNDS):
            for connection, durations in ((alone, one), (crowded, many)):
                started = time.perf_counter()
                for number in range(REQUESTS):
                    step = number + round_number * REQUESTS
                    ask(connection, address(0 if connection is alone else step))
                durations.append((time.perf_counter() - started) / REQUESTS * 1e6)
    return costs


def show(title: str, costs: dict[str, list[float]]) -> None:
    """Print medians and their ratios to the first row."""
    print(f"\n{title:<42}{'µs':>8}{'ratio':>8}")
    medians = {name: statistics.median(rounds) for name, rounds in costs.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"{name:<42}{median:>8.1f}{median / first:>8.2f}")


def main() -> None:
    """Measure the service of the first argument."""
    if len(sys.argv) == 1:
        sys.exit(__doc__)
    if sys.argv[1] == "--counts":
        measure_counts()
        return
    service = Path(sys.argv[1]).resolve()
    python = service / ".venv" / "bin" / "python"
    measured = subprocess.run(
        [str(python), __file__, "--counts"], check=True, stdout=subprocess.PIPE
    )
    show("In memory, one count", json.loads(measured.stdout))
    show("Over HTTP, one request", measure_http(service))


if __name__ == "__main__":
    main()
