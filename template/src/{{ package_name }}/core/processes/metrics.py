"""Metrics of several processes, summed in each scrape.

The processes keep their metrics in files of a folder that they share, because each
scrape reaches one of them and has to return the sum. The library finds that folder by
an environment variable, and reads the variable only once: when it is imported.
"""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from ..metrics.registry import serve_metrics
from ..metrics.settings import MetricsSettings

if sys.platform != "win32":
    import fcntl

MULTIPROC_DIR_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def metrics_of_processes(settings: MetricsSettings) -> Iterator[None]:
    """Let the processes that are started inside share their metrics.

    Each start gets an empty folder: metrics of an earlier one would be counted again.
    """
    with tempfile.TemporaryDirectory(prefix="metrics-") as folder:
        os.environ[MULTIPROC_DIR_VARIABLE] = folder
        try:
            with serve_metrics(settings, registry_of_processes(Path(folder))):
                yield
        finally:
            os.environ.pop(MULTIPROC_DIR_VARIABLE)


def shared_registry() -> CollectorRegistry | None:
    """Join the processes that share a folder, and return a registry of all of them.

    A process that serves alone gets ``None``.
    """
    folder = os.environ.get(MULTIPROC_DIR_VARIABLE)
    if not folder:
        return None
    _claim(Path(folder), os.getpid())
    return registry_of_processes(Path(folder))


def registry_of_processes(folder: Path) -> CollectorRegistry:
    """Return a registry that reads the metrics of all processes that share a folder."""
    registry = CollectorRegistry()
    registry.register(ProcessesCollector(folder))
    return registry


class ProcessesCollector(Collector):
    """Adds up what processes have counted, without the gauges of dead ones."""

    def __init__(self, folder: Path) -> None:
        """Take the folder that they share."""
        self._folder = folder
        self._files = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        """Return each metric once for all processes."""
        _forget_dead(self._folder)
        metrics: Iterable[Metric] = self._files.collect()  # type: ignore[no-untyped-call]
        return metrics


# A process cannot report that it was killed. But its end also ends its lock on a file,
# and unlike its number a lock cannot pass to an unrelated process.


@cache
def _claim(folder: Path, pid: int) -> BinaryIO:
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
    unlocked = folder / f"{pid}.starting"
    file = unlocked.open("wb")
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX)
    # It must be locked before others see it: it would look like a dead process's.
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
