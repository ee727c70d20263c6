"""Routes that only the tests have, in the service that runs as a process."""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from .feature import add_trials


def fail(*_: object, **__: object) -> None:
    """Raise, with a secret among the local variables."""
    credentials = "hunter2"
    message = f"planted, after {len(credentials)} letters"
    raise RuntimeError(message)


def add_routes(app: FastAPI, planted: str) -> None:
    """Add the routes and the trials, or break the application.

    Args:
        app: The application before its first request.
        planted: What is broken: ``broken application`` or ``broken lifespan``.
    """
    if planted == "broken application":
        fail()
    if planted == "broken lifespan":

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            fail()
            yield

        app.router.lifespan_context = lifespan
    add_trials(app)
    _add_failing_routes(app)
    _add_process_routes(app)


def _add_failing_routes(app: FastAPI) -> None:
    @app.get("/planted/library")
    async def log_as_a_library() -> None:
        logging.getLogger("library").warning("%s is slow", "it")

    @app.get("/planted/warning")
    async def warn() -> None:
        warnings.warn("planted", stacklevel=1)

    @app.get("/planted/error")
    async def raise_error() -> None:
        fail()

    @app.get("/planted/thread")
    async def fail_in_a_thread() -> None:
        broken = threading.Thread(target=fail)
        broken.start()
        broken.join()

    @app.get("/planted/task")
    async def fail_in_a_task() -> None:
        async def fail_later() -> None:
            fail()

        await asyncio.wait([asyncio.create_task(fail_later())])


def _add_process_routes(app: FastAPI) -> None:
    @app.get("/planted/pid")
    async def read_pid() -> int:
        # While this process is busy, the next connection goes to another one.
        time.sleep(0.05)  # noqa: ASYNC251 - On purpose.
        return os.getpid()

    @app.get("/planted/stop")
    async def stop_the_service() -> int:
        supervisor = multiprocessing.parent_process()
        os.kill(supervisor.pid if supervisor and supervisor.pid else os.getpid(), signal.SIGTERM)
        # Long enough for the signal to arrive while this request is in flight.
        await asyncio.sleep(1)
        return os.getpid()

    @app.get("/planted/wait/{seconds}")
    async def wait(seconds: float) -> int:
        await asyncio.sleep(seconds)
        return os.getpid()
