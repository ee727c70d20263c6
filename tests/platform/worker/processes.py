"""A worker that runs as a process of its own."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO

from ..service import COMMAND
from ..waiting import wait_until


class WorkerProcess:
    """A running worker, and its output."""

    def __init__(self, process: "subprocess.Popen[str]", log: IO[str]) -> None:
        """Take the running process."""
        self.process = process
        self._log = log

    @property
    def output(self) -> str:
        """Everything that was written so far."""
        self._log.seek(0)
        return self._log.read()

    async def wait_for(self, event: str) -> None:
        """Wait for an event in the log."""
        await wait_until(lambda: event in self.output)

    def kill(self) -> None:
        """Kill the worker."""
        self.process.kill()
        self.process.wait()

    def request_stop(self) -> None:
        """Send the signal that stops the worker after its jobs."""
        self.process.send_signal(signal.SIGTERM)

    async def wait(self) -> str:
        """Wait for a regular end, and return the output."""
        await wait_until(lambda: self.process.poll() is not None)
        assert self.process.returncode == 0, self.output
        return self.output

    async def stop(self) -> str:
        """Stop the worker, wait for its end, and return the output."""
        self.request_stop()
        return await self.wait()


@contextmanager
def started(environment: Mapping[str, str]) -> Iterator[WorkerProcess]:
    """Start a worker, and kill it at the end if it still runs."""
    # A file, because a full pipe would block a worker that nothing reads from.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            [COMMAND, "worker"], env=environment, stdout=log, stderr=subprocess.STDOUT, text=True
        )
        worker = WorkerProcess(process, log)
        try:
            yield worker
        finally:
            worker.kill()
