"""A thousand messages with injected faults: none is lost, and none has two effects."""

import json
import os
import random
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.answers import choices
from tests.commands import run
from tests.conftest import Render
from tests.receivers import Received, Receiver, free_port, wait_for

pytestmark = pytest.mark.slow

PEOPLE = 1000
ROLLED_BACK = 50
WORKERS = 3
SECONDS_FOR_ALL = 240

SERVERS = """
import sys
from order_service_dev.postgres import throwaway_server
from order_service_dev.redis import local_redis

with throwaway_server() as postgres, local_redis() as redis:
    print(postgres.database_url("postgres"), flush=True)
    print(redis.url, flush=True)
    for line in sys.stdin:
        redis.stop()
        redis.start()
        print("restarted", flush=True)
"""
"""Runs the servers of the dev group; each line of input restarts Redis without its data."""


COUNT = """
import asyncio
import sys

import asyncpg

async def count():
    connection = await asyncpg.connect(sys.argv[1])
    for rows in ("*", "done_at", "failed_at"):
        print(await connection.fetchval(f"SELECT count({rows}) FROM outbox_messages"))
    await connection.close()

asyncio.run(count())
"""
"""Prints the number of messages, of done ones and of failed ones."""


class Servers:
    """A PostgreSQL server and a Redis server that can be restarted."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.database_url = self._read()
        self.redis_url = self._read()

    def restart_redis(self) -> None:
        """Restart Redis without its data."""
        assert self._process.stdin is not None
        self._process.stdin.write("restart\n")
        self._process.stdin.flush()
        assert self._read() == "restarted"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def open_servers(service: Path) -> Iterator[Servers]:
    """Start the servers, and stop them at the end."""
    process = subprocess.Popen(
        [service / ".venv/bin/python", "-c", SERVERS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Servers(process)
    finally:
        process.communicate()


def answer_badly(_: Received) -> int:
    """Fail every tenth call, and delay another tenth."""
    dice = random.random()  # noqa: S311
    if dice > 0.9:
        time.sleep(0.3)
    return 503 if dice < 0.1 else 204


class Process:
    """One of the service's processes; it can be killed and started again."""

    def __init__(self, service: Path, verb: str, environment: Mapping[str, str]) -> None:
        self._command = [str(service / ".venv/bin/order-service"), verb]
        self._environment = environment
        self._log = service / f"{verb}-{time.monotonic_ns()}.log"
        self.start()

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._start_of_log = log.tell()
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """Kill it without a signal to handle."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Send SIGTERM; expect a graceful exit, once it has started."""
        wait_for(self._has_started, "worker that has started")
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(60) == 0, self._log.read_text("utf-8")[-5000:]

    def _has_started(self) -> bool:
        return b"worker_started" in self._log.read_bytes()[self._start_of_log :]


def register(url: str, number: int) -> int:
    """Register a user; one of twenty has an address that is taken."""
    content = {
        "email": f"person{number}@example.com",
        "password": "a long and quiet river",
        "full_name": f"Person {number}",
    }
    request = urllib.request.Request(  # noqa: S310
        f"{url}/api/v1/users", json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


def is_ready(url: str) -> bool:
    """Send a request to the service."""
    with suppress(OSError), urllib.request.urlopen(f"{url}/health/ready", timeout=5):  # noqa: S310
        return True
    return False


@pytest.mark.parametrize("engine", [engine for engine in choices("jobs") if engine != "none"])
def test_thousand_messages_survive_kills_and_restarts(project: Render, engine: str) -> None:
    service = project({"jobs": engine})
    run("uv", "sync", "--quiet", cwd=service)
    receiver = Receiver(answer_badly)

    def notified() -> Counter[str]:
        return Counter(request.headers["idempotency-key"] for request in receiver.received)

    with ExitStack() as stack:
        servers = stack.enter_context(open_servers(service))
        stack.enter_context(receiver.serving())
        port = free_port()
        environment = {
            **os.environ,
            "ENVIRONMENT": "test",
            "PORT": str(port),
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "JWT_SECRET": "a key of thirty-two bytes, at least",
            "NOTIFICATIONS_URL": f"{receiver.url}/messages",
            # The cheapest password hash, and rate limits that never apply.
            "PASSWORD_HASH_MEMORY_KIB": "32",
            "PASSWORD_HASH_ROUNDS": "1",
            "RATE_LIMIT_DEFAULT": "1000000/minute",
            "RATE_LIMIT_REGISTRATION": "1000000/minute",
            # Jobs of a killed worker are redelivered after this many seconds.
            "JOBS_REDELIVERY_SECONDS": "2",
            "JOBS_BACKOFF_SECONDS": "0.2",
            "JOBS_MAX_ATTEMPTS": "50",
        }
        run(service / ".venv/bin/order-service", "migrate", cwd=service, environment=environment)
        serving = Process(service, "serve", environment)
        stack.callback(serving.kill)
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: is_ready(url), "service that is ready")
        # Each worker publishes, too: there are as many relays as workers.
        workers = [Process(service, "worker", environment) for _ in range(WORKERS)]
        for worker in workers:
            stack.callback(worker.kill)

        with ThreadPoolExecutor(8) as people:
            numbers = [*range(PEOPLE), *range(ROLLED_BACK)]
            registered = people.map(lambda number: register(url, number), numbers)
            give_up = time.monotonic() + SECONDS_FOR_ALL
            faults = 0
            while len(notified()) < PEOPLE and time.monotonic() < give_up:
                time.sleep(1)
                if faults < 12 and faults % 3 == 2:
                    servers.restart_redis()
                elif faults < 12:
                    worker = random.choice(workers)  # noqa: S311
                    worker.kill()
                    worker.start()
                faults += 1
            statuses = Counter(registered)
        for worker in workers:
            worker.stop()
        rows = run(service / ".venv/bin/python", "-c", COUNT, servers.database_url, cwd=service)

    assert statuses == {201: PEOPLE, 409: ROLLED_BACK}
    # A call can be retried after its worker was killed: the idempotency key is the same.
    assert len(notified()) == PEOPLE
    assert rows.split() == [str(PEOPLE), str(PEOPLE), "0"]
    print(f"{engine}: {faults} faults, {sum(notified().values()) - PEOPLE} calls repeated")
