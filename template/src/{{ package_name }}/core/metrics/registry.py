"""Numbers for Prometheus: where they are kept, and how they are read.

A process keeps its numbers in memory. Several processes behind one port keep them in
files of a folder they share, because each reading is answered by one of them, for all.
The library finds that folder by an environment variable, and looks only once: when it
is imported.
"""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final

import structlog
from prometheus_client import (
    CollectorRegistry,
    Metric,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from ..errors import CommandError
from ..settings import ServiceSettings

log = structlog.stdlib.get_logger(__name__)

if sys.platform != "win32":
    import fcntl

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

LIVE_SUM: Final = "livesum"
"""How gauges of several processes become one: what the living ones say, added up."""

# The moment when each series began would be a series of its own, for each of them.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The numbers of one application."""

    def __init__(self) -> None:
        """Start with none; whoever has something to count registers it."""
        self.registry = CollectorRegistry()
        self._read_from: CollectorRegistry = self.registry
        if folder := os.environ.get(FOLDER):
            _claim(Path(folder), os.getpid())
            self._read_from = registry_of_processes(Path(folder))

    def read(self, accept: str = "") -> tuple[bytes, str]:
        """Give all numbers as text, and the media type of that text.

        Args:
            accept: What the reader wants, as its header of that name says it.
        """
        encode, media_type = choose_encoder(accept)
        return encode(self._read_from), media_type

    @contextmanager
    def served(self, settings: ServiceSettings) -> Iterator[None]:
        """Serve the numbers on METRICS_PORT, if it is set, and nothing else there.

        One of several processes leaves that to the process that has started them.
        """
        with ExitStack() as stack:
            if self._read_from is self.registry:
                stack.enter_context(_served(settings, self.registry))
            yield


@contextmanager
def metrics_of_processes(settings: ServiceSettings) -> Iterator[None]:
    """Have the processes that are started meanwhile share their numbers.

    Each start gets an empty folder: numbers of an earlier one would be counted again.
    """
    if settings.processes == 1:
        yield
        return
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="metrics-"))
        os.environ[FOLDER] = folder
        stack.callback(os.environ.pop, FOLDER)
        stack.enter_context(_served(settings, registry_of_processes(Path(folder))))
        yield


def registry_of_processes(folder: Path) -> CollectorRegistry:
    """Give a registry that reads the numbers of all processes that share a folder."""
    registry = CollectorRegistry()
    registry.register(ProcessesCollector(folder))
    return registry


class ProcessesCollector(Collector):
    """Adds up what processes have counted, and forgets the gauges of dead ones."""

    def __init__(self, folder: Path) -> None:
        """Take the folder that they share."""
        self._folder = folder
        self._files = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        """Give each number once for all processes."""
        _forget_dead(self._folder)
        metrics: Iterable[Metric] = self._files.collect()  # type: ignore[no-untyped-call]
        return metrics


@contextmanager
def _served(settings: ServiceSettings, registry: CollectorRegistry) -> Iterator[None]:
    if settings.metrics_port is None:
        yield
        return
    port = settings.metrics_port
    try:
        server, thread = start_http_server(port, settings.host, registry)
    except OSError as error:
        message = f"METRICS_PORT {port} cannot be used ({error.strerror})."
        if settings.is_production:
            raise CommandError(message) from error
        # On one machine, all processes of a service find the same setting.
        log.warning("metrics_not_served", reason=message)
        yield
        return
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# A process cannot say that it was killed. But whatever ends it also ends its lock on
# a file, and unlike its number a lock cannot pass to an unrelated process.


@cache
def _claim(folder: Path, pid: int) -> BinaryIO:
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
    unlocked = folder / f"{pid}.starting"
    file = unlocked.open("wb")
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX)
    # Nobody may see it before it is locked: it would look like a dead one's.
    unlocked.rename(folder / f"{pid}.alive")
    return file


def _forget_dead(folder: Path) -> None:
    if sys.platform == "win32":
        return
    for claim in folder.glob("*.alive"):
        with suppress(FileNotFoundError, BlockingIOError), claim.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mark_process_dead(claim.stem, str(folder))  # type: ignore[no-untyped-call]
            claim.unlink()
