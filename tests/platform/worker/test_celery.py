"""Celery delivers the ids of messages to workers, and nothing else."""

import json
import threading
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, ClassVar
from uuid import UUID, uuid4

import anyio
import pytest
from celery import Celery
from pydantic import SecretStr
from redis.asyncio import Redis
from structlog.testing import capture_logs

from order_service.core.outbox.handlers import Schedule
from order_service.core.outbox.messages import Message
from order_service.core.outbox.relay import BrokerUnavailableError
from order_service.settings import Settings
from order_service.worker.celery_engine import (
    QUEUE,
    broker,
    consume,
    open_publisher,
    schedule,
)
from order_service_dev.redis import LocalRedis

from ..waiting import SECONDS_TO_WAIT, wait_until

NEEDS = {"celery"}

SECONDS = 1
"""The timeout of a call to Redis."""


class Night(Message):
    """A message that the scheduler adds."""

    name: ClassVar[str] = "tests.night"


class Work:
    """Records jobs, and blocks them until they are released."""

    def __init__(self) -> None:
        self.started: list[UUID] = []
        self.done: list[UUID] = []
        self.release = anyio.Event()
        self.release.set()
        self._progress = anyio.Event()

    def hold(self) -> None:
        """Block all jobs until they are released."""
        self.release = anyio.Event()

    async def run(self, message_id: UUID) -> None:
        """Run a job."""
        self.started.append(message_id)
        self._progress.set()
        # A job takes some time, so that the others wait for a free thread.
        await anyio.sleep(0.01)
        await self.release.wait()
        self.done.append(message_id)

    async def wait_until_started(self, *message_ids: UUID) -> None:
        """Wait until the jobs of these messages have started."""
        with anyio.fail_after(SECONDS_TO_WAIT):
            while not set(message_ids) <= set(self.started):
                self._progress = anyio.Event()
                await self._progress.wait()


@pytest.fixture
def fragile(settings: Settings, own_redis: LocalRedis) -> Settings:
    """Return the settings of a worker on a server that the test may stop."""
    return settings.model_copy(
        update={"redis_url": SecretStr(own_redis.url), "jobs_concurrency": 2}
    )


@pytest.fixture
def work() -> Work:
    """Return what runs the jobs."""
    return Work()


async def length_of_queue(settings: Settings) -> int:
    """Return how many ids wait in Redis."""
    async with Redis.from_url(settings.redis_url.get_secret_value()) as redis:
        return await redis.llen(f"{settings.redis_prefix}:{QUEUE}")


@asynccontextmanager
async def consuming(settings: Settings, work: Work) -> AsyncIterator[anyio.Event]:
    """Run a worker until the end, or until the event that is yielded is set."""
    stopping = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(consume, settings, work.run, stopping)
        yield stopping
        stopping.set()


async def test_every_published_message_arrives_once(fragile: Settings, work: Work) -> None:
    message_ids = [uuid4() for _ in range(50)]
    async with consuming(fragile, work), open_publisher(fragile) as publish:
        for message_id in message_ids:
            await publish(message_id)
        await work.wait_until_started(*message_ids)

    assert sorted(work.done) == sorted(message_ids)


async def test_stopping_worker_finishes_its_jobs_and_leaves_the_others(
    fragile: Settings, work: Work
) -> None:
    work.hold()
    message_ids = [uuid4() for _ in range(6)]
    async with open_publisher(fragile) as publish:
        async with consuming(fragile, work) as stopping:
            for message_id in message_ids:
                await publish(message_id)
            await work.wait_until_started(*message_ids[: fragile.jobs_concurrency])
            # No thread is free, so the other ids stay in Redis.
            assert await length_of_queue(fragile) == len(message_ids) - fragile.jobs_concurrency
            stopping.set()
            work.release.set()

        assert work.done == work.started
        assert len(work.started) == fragile.jobs_concurrency
        async with consuming(fragile, work):
            await work.wait_until_started(*message_ids[fragile.jobs_concurrency :])
    assert not [thread for thread in threading.enumerate() if "job" in thread.name]


async def test_message_goes_to_an_idle_worker(fragile: Settings, work: Work) -> None:
    work.hold()
    single = fragile.model_copy(update={"jobs_concurrency": 1})
    message_ids = [uuid4() for _ in range(2)]
    async with consuming(single, work), consuming(single, work):
        async with open_publisher(single) as publish:
            for message_id in message_ids:
                await publish(message_id)
            await work.wait_until_started(*message_ids)
        work.release.set()


async def test_worker_stops_during_an_outage_of_redis(
    fragile: Settings, work: Work, own_redis: LocalRedis
) -> None:
    message_id = uuid4()
    stopping, stopped = anyio.Event(), anyio.Event()

    async def consume_until_stopped() -> None:
        await consume(fragile, work.run, stopping)
        stopped.set()

    async with anyio.create_task_group() as group:
        group.start_soon(consume_until_stopped)
        async with open_publisher(fragile) as publish:
            await publish(message_id)
        await work.wait_until_started(message_id)
        with capture_logs() as lines, anyio.fail_after(SECONDS_TO_WAIT):
            own_redis.stop()
            await wait_until(lambda: "broker_unavailable" in [line["event"] for line in lines])
            stopping.set()
            await stopped.wait()


async def test_hanging_redis_blocks_no_event_loop(settings: Settings, hanging_url: str) -> None:
    hanging = settings.model_copy(
        update={"redis_url": SecretStr(hanging_url), "redis_seconds": SECONDS}
    )
    longest = 0.0

    async def measure() -> None:
        nonlocal longest
        while True:
            before = monotonic()
            await anyio.sleep(0.01)
            longest = max(longest, monotonic() - before)

    async with anyio.create_task_group() as group:
        group.start_soon(measure)
        async with open_publisher(hanging) as publish:
            started = monotonic()
            with pytest.raises(BrokerUnavailableError):
                await publish(uuid4())
            assert monotonic() - started < 3 * SECONDS
        group.cancel_scope.cancel()
    assert longest < SECONDS


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host", "redis://host:6379/0"),
        ("redis://:p%40ss@host:6380/2", "redis://:p%40ss@host:6380/2"),
        ("redis://ada:pw@[::1]/1", "redis://ada:pw@[::1]:6379/1"),
        ("unix:///run/redis?db=3", "redis+socket:///run/redis?virtual_host=3"),
    ],
)
def test_redis_url_is_translated_for_celery(url: str, expected: str) -> None:
    assert broker(url) == (expected, None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"ssl_cert_reqs": "required"}),
        (
            "?ssl_ca_certs=/ca.pem",
            {"ssl_cert_reqs": "required", "ssl_ca_certs": "/ca.pem"},
        ),
        ("?ssl_cert_reqs=none", {"ssl_cert_reqs": "none"}),
    ],
)
def test_certificates_are_verified_unless_the_url_disables_it(
    query: str, expected: dict[str, object]
) -> None:
    assert broker(f"rediss://host/0{query}") == ("rediss://host:6379/0", expected)


async def test_redis_holds_only_ids(settings: Settings) -> None:
    message_id = uuid4()
    async with open_publisher(settings) as publish:
        await publish(message_id)
    queue = f"{settings.redis_prefix}:{QUEUE}"
    async with Redis.from_url(settings.redis_url.get_secret_value()) as redis:
        keys = [key async for key in redis.scan_iter(f"{settings.redis_prefix}*")]
        assert keys == [queue.encode()]
        popped = await redis.rpop(queue)
    assert isinstance(popped, bytes)
    published = json.loads(popped)
    arguments, options, _ = json.loads(b64decode(published["body"]))
    assert (arguments, options) == ([str(message_id)], {})


async def test_foreign_content_of_the_queue_does_not_stop_the_worker(
    settings: Settings,
) -> None:
    queue = f"{settings.redis_prefix}:{QUEUE}"
    stopping = anyio.Event()
    message_id = uuid4()
    done: list[UUID] = []

    async def run(message_id: UUID) -> None:
        done.append(message_id)
        stopping.set()

    async with Redis.from_url(settings.redis_url.get_secret_value()) as redis:
        await redis.lpush(queue, "no JSON")
    async with open_publisher(settings) as publish:
        await publish(message_id)
    with anyio.fail_after(SECONDS_TO_WAIT), capture_logs() as logs:
        await consume(settings, run, stopping)
    assert done == [message_id]
    assert [line["event"] for line in logs] == ["celery_restarted"]


async def test_cancelled_worker_cancels_its_jobs(settings: Settings) -> None:
    started, cancelled = anyio.Event(), anyio.Event()

    async def run(_: UUID) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async with open_publisher(settings) as publish:
        await publish(uuid4())
    with anyio.fail_after(SECONDS_TO_WAIT):
        async with anyio.create_task_group() as group:
            group.start_soon(consume, settings, run, anyio.Event())
            await started.wait()
            group.cancel_scope.cancel()
    assert cancelled.is_set()
    assert not [thread for thread in threading.enumerate() if "job" in thread.name]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clock of Celery to just before three o'clock, UTC."""
    started = monotonic()
    start = datetime(2026, 1, 31, 2, 59, 59, 800_000, tzinfo=UTC)

    def now(_: Celery) -> datetime:
        return start + timedelta(seconds=monotonic() - started)

    monkeypatch.setattr(Celery, "now", now)


@pytest.mark.usefixtures("clock")
async def test_minute_of_the_start_is_not_missed(settings: Settings) -> None:
    stopping = anyio.Event()
    due: list[datetime] = []

    async def enqueue(_: Schedule, minute: datetime) -> None:
        due.append(minute)
        stopping.set()

    with anyio.fail_after(SECONDS_TO_WAIT):
        await schedule(settings, [Schedule("59 2 * * *", Night())], enqueue, stopping)
    assert due == [datetime(2026, 1, 31, 2, 59, tzinfo=UTC)]


@pytest.mark.usefixtures("clock")
async def test_messages_are_due_at_their_minute(settings: Settings) -> None:
    stopping = anyio.Event()
    due: list[tuple[str, datetime]] = []
    crons = ["0 3 * * *", "*/15 * * * *", "1 3 * * *", "0 3 1 * *"]

    async def enqueue(entry: Schedule, minute: datetime) -> None:
        due.append((entry.cron, minute))
        if len(due) == 2:
            stopping.set()

    with anyio.fail_after(SECONDS_TO_WAIT):
        entries = [Schedule(cron, Night()) for cron in crons]
        await schedule(settings, entries, enqueue, stopping)
    three = datetime(2026, 1, 31, 3, tzinfo=UTC)
    assert sorted(due) == [("*/15 * * * *", three), ("0 3 * * *", three)]


@pytest.mark.usefixtures("clock")
async def test_late_scheduler_uses_the_minute_that_was_due(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping = anyio.Event()
    due: list[datetime] = []

    async def enqueue(_: Schedule, minute: datetime) -> None:
        due.append(minute)
        stopping.set()

    async def sleep(*_: Any) -> None:  # noqa: ANN401
        late = datetime(2026, 1, 31, 3, 7, 30, tzinfo=UTC)
        monkeypatch.setattr(Celery, "now", lambda _: late)

    monkeypatch.setattr("order_service.worker.celery_engine.pause", sleep)
    with anyio.fail_after(SECONDS_TO_WAIT):
        await schedule(settings, [Schedule("0 3 * * *", Night())], enqueue, stopping)
    assert due == [datetime(2026, 1, 31, 3, tzinfo=UTC)]
