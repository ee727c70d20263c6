"""Several processes behind one port, supervised by the one that started them."""

import multiprocessing
import os
import signal
from multiprocessing.process import BaseProcess
from threading import Thread

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

HEALTH_CHECK_SECONDS = 60
"""How long a process may not respond to its supervisor before it is replaced."""


def serve_together(config: uvicorn.Config, processes: int) -> bool:
    """Serve with several processes, and return whether all of them could start."""
    config.workers = processes
    # A process responds only once it has imported everything. With uvicorn's default of
    # five seconds, a busy machine would replace each one before that, for ever.
    config.timeout_worker_healthcheck = HEALTH_CHECK_SECONDS
    supervisor = Supervisor(config, [config.bind_socket()])
    supervisor.run()
    codes = [process.exitcode for process in supervisor.processes]
    return STARTUP_FAILURE not in codes


class Supervisor(Multiprocess):
    """Replaces processes that die, and notices at once when one does."""

    def init_processes(self) -> None:
        """Start the processes."""
        super().init_processes()
        self._close_child_ends()

    def keep_subprocess_alive(self) -> None:
        """Start another process for each that has died."""
        super().keep_subprocess_alive()
        self._close_child_ends()

    def _close_child_ends(self) -> None:
        # While the child's end of the pipe is open here as well, a dead process looks
        # like one that is slow to respond.
        for process in self.processes:
            process.child_conn.close()


def stop_with_parent() -> None:
    """End this process when the one that supervises it has ended."""
    if parent := multiprocessing.parent_process():
        Thread(target=_stop_after, args=(parent,), daemon=True).start()


def _stop_after(parent: BaseProcess) -> None:
    # A parent that was killed cannot stop its children: they would keep the port.
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
