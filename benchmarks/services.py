"""Services under test: rendering, building, starting, and what they use of the machine."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
SECRET = "a key for benchmarks, which protects nothing"  # noqa: S105
LIVENESS = "/health/live"
REDIS = """
import sys
from order_service_dev.redis import local_redis
with local_redis() as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""

Answers = Mapping[str, object]


class Machine:
    """The cores: one for the server under test, the others for everything else."""

    def __init__(self) -> None:
        self.server: set[int] | None = None
        self.others: set[int] | None = None
        if not hasattr(os, "sched_setaffinity"):
            sys.exit("The benchmarks need Linux: they read CPU times from /proc.")
        first, *others = sorted(os.sched_getaffinity(0))
        if others:
            self.server, self.others = {first}, set(others)
            os.sched_setaffinity(0, self.others)
        else:
            print("Nothing is pinned: this machine has one core.", file=sys.stderr)

    def pin_server(self) -> None:
        """Move the calling process to the server's core."""
        if self.server:
            os.sched_setaffinity(0, self.server)

    def unpin(self) -> None:
        """Let the calling process use all cores."""
        if self.server and self.others:
            os.sched_setaffinity(0, self.server | self.others)


class Reply(NamedTuple):
    """A response of a service."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401
        """The body, parsed."""
        return json.loads(self.body)


class Usage(NamedTuple):
    """What the processes of a server have used."""

    cpu_seconds: float
    megabytes: float


@dataclass
class Server:
    """A server under test: a command that listens on a port."""

    name: str
    command: list[str]
    environment: dict[str, str]
    python: Path
    cwd: Path
    machine: Machine
    is_pinned: bool = True
    liveness: str = LIVENESS
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> float:
        """Start it, and return the seconds until its first response."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        begin = time.perf_counter()
        with (self.cwd / f"{self.name}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*self.command, "--port", str(self.port)],
                cwd=self.cwd,
                env=environment(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # It runs before any thread of the child, and this process has none.
                preexec_fn=self.machine.pin_server if self.is_pinned else self.machine.unpin,  # noqa: PLW1509
            )
        while True:
            with suppress(OSError):
                if self.request("GET", self.liveness).status == 200:
                    return time.perf_counter() - begin
            if self.process.poll() is not None or time.perf_counter() > begin + 60:
                log_file = self.cwd / f"{self.name}.log"
                sys.exit(f"{self.name} does not start:\n{log_file.read_text()[-3000:]}")
            time.sleep(0.005)

    def run_once(self, verb: str) -> None:
        """Run another command of the service, such as its migrations."""
        run(self.command[0], verb, cwd=self.cwd, **self.environment)

    def stop(self) -> None:
        """Stop it, and wait for its end."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()
            self.process = None

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: str = ""
    ) -> Reply:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body or None, dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): text for name, text in response.getheaders()}
            return Reply(response.status, names, response.read())
        finally:
            connection.close()

    def usage(self) -> Usage:
        """Return what it and its child processes have used."""
        assert self.process is not None
        ticks, pages = 0, 0
        stats = {}
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                # The name of the command, in parentheses, may contain spaces.
                stats[int(file.parent.name)] = file.read_text().rpartition(")")[2].split()
        wanted = {self.process.pid}
        while children := {pid for pid, f in stats.items() if int(f[1]) in wanted} - wanted:
            wanted |= children
        for pid in wanted:
            # The times of children that have ended are in their parent's.
            ticks += sum(int(spent) for spent in stats[pid][11:15])
            pages += int(stats[pid][21])
        cpu = ticks / os.sysconf("SC_CLK_TCK")
        return Usage(cpu, pages * os.sysconf("SC_PAGE_SIZE") / 1e6)


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with changes, without its virtual environment."""
    kept = {name: text for name, text in os.environ.items() if name != "VIRTUAL_ENV"}
    return {**kept, "PYTHONPATH": str(ROOT), **changes}


def run(*command: str | Path, cwd: Path, **changes: str) -> None:
    """Run a command; its output is printed if it fails."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment(changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"$ {' '.join(map(str, command))}\n{done.stdout[-4000:]}")


def render(folder: Path, answers: Answers, revision: str, python: str | None) -> Path:
    """Render a service from this repository, and install what it needs.

    The revision HEAD includes what is not committed yet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in {".venv", "uv.lock"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    texts = {
        name: given if isinstance(given, str) else json.dumps(given)
        for name, given in answers.items()
    }
    data = [f"--data={name}={text}" for name, text in texts.items()]
    copier = [sys.executable, "-m", "copier", "copy", "--defaults", "--quiet", "--overwrite"]
    run(*copier, f"--vcs-ref={revision}", *data, ROOT, folder, cwd=ROOT, PYTHONWARNINGS="ignore")
    run("uv", "sync", *(["--python", python] if python else []), cwd=folder)
    return folder


def answers_of(folder: Path) -> dict[str, Any]:
    """Return all answers of a rendered service."""
    answers: dict[str, Any] = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    return answers


class Postgres:
    """A PostgreSQL for one service; see servers.py."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url: str = json.loads(self._read())

    def __call__(self, **request: object) -> list[list[str]]:
        """Add items (``fill``) or execute a statement (``sql``), and return its rows."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        rows: list[list[str]] = json.loads(self._read())
        return rows

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline() or sys.exit("PostgreSQL has failed.")


@contextmanager
def side_process(python: Path, cwd: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python until the end of the block, when its standard input is closed."""
    with subprocess.Popen(
        [str(python), *arguments],
        cwd=cwd,
        env=environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


@contextmanager
def open_postgres(folder: Path) -> Iterator[Postgres]:
    """Start PostgreSQL out of a service's development package."""
    python = folder / ".venv/bin/python"
    arguments = ["-m", "benchmarks.servers", "order_service_dev"]
    with side_process(python, folder, *arguments) as process:
        yield Postgres(process)


@contextmanager
def open_redis(folder: Path) -> Iterator[str]:
    """Start Valkey out of a service's development package, and yield its URL."""
    with side_process(folder / ".venv/bin/python", folder, "-c", REDIS) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
