"""Worker processes are killed, stopped and replaced, and every registration has one effect."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from order_service.settings import Settings
from order_service_dev.redis import LocalRedis

from ..accounts import ADA, register
from ..service import COMMAND
from ..serving import environment_of
from ..waiting import wait_until
from ..working import Rows, Sink, open_sink
from .processes import started

NEEDS = {"auth"}

ACCOUNTS = 40


@pytest.fixture
def settings(settings: Settings, own_redis: LocalRedis) -> Settings:
    """Use a Redis that the test may stop."""
    return settings.model_copy(update={"redis_url": SecretStr(own_redis.url)})


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Run the service that the jobs call."""
    with open_sink() as sink:
        yield sink


@pytest.fixture
def environment(settings: Settings, sink: Sink) -> Mapping[str, str]:
    """Return the environment of workers with short delays."""
    return environment_of(
        settings,
        NOTIFICATIONS_URL=sink.url,
        JOBS_CONCURRENCY="4",
        JOBS_POLL_SECONDS="0.05",
        JOBS_REDELIVERY_SECONDS="0.5",
        JOBS_BACKOFF_SECONDS="0.1",
    )


async def test_job_of_a_killed_worker_is_run_by_another_one(
    environment: Mapping[str, str], client: httpx2.AsyncClient, rows: Rows, sink: Sink
) -> None:
    client.headers["X-Request-ID"] = "request-42"
    await register(client, ADA)
    sink.responding.clear()
    with started(environment) as killed:
        await wait_until(lambda: sink.calls)
        killed.kill()
    (row,) = await rows.all()
    assert (row.attempts, row.done_at) == (1, None)

    with started(environment) as other:
        await wait_until(lambda: len(sink.calls) == 2)
        # It is stopped during the job, and finishes it.
        other.request_stop()
        await other.wait_for("stop_requested")
        sink.responding.set()
        output = await other.wait()

    (row,) = await rows.all()
    assert row.done_at is not None
    assert row.attempts == 2
    # The receiver gets two calls with the same key.
    assert sink.keys == {str(row.id)}
    assert {call.request_id for call in sink.calls} == {"request-42"}
    assert sink.calls[0].body["to"] == ADA
    events = [json.loads(line) for line in output.splitlines()]
    (welcome,) = [each for each in events if each["event"] == "welcome_message"]
    assert welcome["request_id"] == "request-42"
    assert welcome["message_id"] == str(row.id)
    assert ADA not in output


async def test_job_that_outlives_the_shutdown_timeout_is_returned(
    environment: Mapping[str, str], client: httpx2.AsyncClient, rows: Rows, sink: Sink
) -> None:
    await register(client, ADA)
    sink.responding.clear()
    with started({**environment, "SHUTDOWN_SECONDS": "1"}) as worker:
        await wait_until(lambda: sink.calls)
        output = await worker.stop()

    assert "job_returned" in output
    (row,) = await rows.all()
    assert (row.attempts, row.done_at, row.failed_at) == (0, None, None)


async def test_every_registration_has_one_effect_despite_kills_and_an_outage(
    environment: Mapping[str, str],
    client: httpx2.AsyncClient,
    rows: Rows,
    sink: Sink,
    own_redis: LocalRedis,
) -> None:
    async def register_accounts(numbers: range) -> None:
        for number in numbers:
            await register(client, f"person{number}@example.com")

    with started(environment) as first, started(environment) as second:
        await register_accounts(range(ACCOUNTS // 2))
        await wait_until(lambda: len(sink.keys) > ACCOUNTS // 10)
        first.kill()
        await register_accounts(range(ACCOUNTS // 2, ACCOUNTS * 3 // 4))
        own_redis.stop()
        with started(environment) as third:
            await register_accounts(range(ACCOUNTS * 3 // 4, ACCOUNTS))
            await third.wait_for("worker_started")
            own_redis.start()
            await wait_until(rows.all_done)
            await second.stop()
            await third.stop()

    assert len(await rows.all()) == ACCOUNTS
    assert sink.keys == {str(row.id) for row in await rows.all()}
    notified = {(call.key, call.body["to"]) for call in sink.calls}
    assert len(notified) == len({address for _, address in notified}) == ACCOUNTS


@contextmanager
def developing(
    environment: Mapping[str, str], folder: Path
) -> Iterator[tuple[list[str], threading.Thread]]:
    """Run `dev` and kill it at the end; yield its output, and the thread that reads it."""
    output: list[str] = []
    process = subprocess.Popen(
        [COMMAND, "dev"],
        env={**environment, "ENVIRONMENT": "development"},
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

    def read() -> None:
        with process.stdout or StringIO() as stream:
            output.extend(stream)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield output, reader
    finally:
        # This does not reach the worker and the scheduler: they have their own sessions.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def test_development_runs_jobs_and_leaves_no_worker_behind(
    environment: Mapping[str, str], client: httpx2.AsyncClient, rows: Rows, tmp_path: Path
) -> None:
    await register(client, ADA)
    with developing(environment, tmp_path) as (output, reader):
        await wait_until(rows.all_done)
        await wait_until(lambda: "scheduler_started" in "".join(output))

    # The output ends when no process is left that has inherited it.
    await wait_until(lambda: not reader.is_alive())
