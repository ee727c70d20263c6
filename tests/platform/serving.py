"""The installed command of the service, run as a process of its own."""

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from time import monotonic, sleep
from typing import IO
from unittest.mock import patch

import httpx2
import pytest

from order_service.cli import main
from order_service.settings import Settings

from .service import COMMAND

SECONDS_TO_START = 90
SECONDS_TO_STOP = 60
SECONDS_TO_RUN = 120

HTTP = httpx2.Client(
    verify=False,
    limits=httpx2.Limits(max_keepalive_connections=0),
    timeout=SECONDS_TO_STOP,
)
"""Opens a connection for every request, which any process of a service may accept."""

PLANTED = Path(__file__).parent / "planted"
"""Python imports ``sitecustomize`` from here before anything else, in each process."""

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """Find an unused port, below those that outgoing connections take."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def environment_of(settings: Settings, **more: str) -> dict[str, str]:
    """Return the environment of a service in production, with routes of planted/.

    Args:
        settings: Where its database and its Redis are.
        more: Added, or in place of the rest.
    """
    path = [str(PLANTED), str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "ENVIRONMENT": "production",
        "PORT": str(free_port()),
        "RATE_LIMIT_DEFAULT": "1000000/minute",
        "JWT_SECRET": "a key of thirty-two bytes, at least",
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
    }
    for name in ("database_url", "redis_url"):
        if secret := getattr(settings, name, None):
            environment[name.upper()] = secret.get_secret_value()
    if prefix := getattr(settings, "redis_prefix", None):
        environment["REDIS_PREFIX"] = prefix
    return {**environment, **more}


def run(
    *arguments: str, environment: Mapping[str, str], directory: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [COMMAND, *arguments],
        env=environment,
        cwd=directory,
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS_TO_RUN,
    )


def run_here(
    *arguments: str, environment: Mapping[str, str], directory: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which costs no start: for what serves nothing."""
    output, errors = StringIO(), StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    status: object = 0
    with (
        patch.dict(os.environ, environment, clear=True),
        patch.object(sys, "argv", [str(COMMAND), *arguments]),
        chdir(directory or Path.cwd()),
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
        finally:
            root.handlers = handlers
            root.setLevel(level)
    assert isinstance(status, int)
    return subprocess.CompletedProcess(arguments, status, output.getvalue(), errors.getvalue())


class Served:
    """A service that is ready for requests."""

    def __init__(self, process: "subprocess.Popen[str]", url: str, log: IO[str]) -> None:
        """Take the running process."""
        self.process = process
        self.url = url
        self._log = log

    @property
    def output(self) -> str:
        """Everything that was written so far."""
        self._log.seek(0)
        return self._log.read()

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """Send a GET request over a new connection; ``_`` in headers stands for ``-``."""
        return self.request("GET", path, **headers)

    def request(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> httpx2.Response:
        """Send a request over a new connection; ``_`` in headers stands for ``-``."""
        named = {name.replace("_", "-"): content for name, content in headers.items()}
        return HTTP.request(method, f"{self.url}{path}", json=body, headers=named)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """Stop the service with a signal, wait for its end and return its output."""
        self.process.send_signal(number)
        self.process.wait(SECONDS_TO_STOP)
        return self.output


@contextmanager
def serving(
    verb: str, environment: Mapping[str, str], directory: Path | None = None
) -> Iterator[Served]:
    """Start the service and wait until it is ready; kill what is left at the end."""
    url = f"http://127.0.0.1:{environment['PORT']}"
    # A file, because a full pipe would block a service that nothing reads from.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            [COMMAND, verb],
            env=environment,
            cwd=directory,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            # Its processes are a group of their own, so that all of them end with it.
            start_new_session=True,
        )
        served = Served(process, url, log)
        try:
            _wait_until_ready(served)
            yield served
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_ready(served: Served) -> None:
    give_up = monotonic() + SECONDS_TO_START
    while monotonic() < give_up:
        assert served.process.poll() is None, served.output
        with suppress(httpx2.TransportError):
            if HTTP.get(f"{served.url}/health/ready").status_code == 200:
                return
        sleep(0.05)
    pytest.fail(f"The service did not become ready:\n{served.output}")


def process_ids(url: str, count: int = 2) -> set[int]:
    """Send requests until so many processes have responded, and return their ids."""
    found: set[int] = set()
    give_up = monotonic() + SECONDS_TO_START

    def ask(_: int) -> None:
        with suppress(httpx2.TransportError):
            # Another address each time, for a service that trusts the header and limits it.
            address = f"198.51.{secrets.randbelow(256)}.{secrets.randbelow(256)}"
            response = HTTP.get(f"{url}/planted/pid", headers={"X-Forwarded-For": address})
            found.add(response.raise_for_status().json())

    with ThreadPoolExecutor() as pool:
        while len(found) < count:
            assert monotonic() < give_up, found
            list(pool.map(ask, range(2 * count)))
    return found


def is_running(pid: int) -> bool:
    """Return whether a process exists and has not ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or ") Z " not in status.read_text()
    return False


def wait_until_ended(processes: set[int]) -> None:
    """Wait until none of the processes runs."""
    give_up = monotonic() + SECONDS_TO_STOP
    while any(map(is_running, processes)):
        assert monotonic() < give_up, processes
        sleep(0.02)
