"""Celery: sends the ids of messages from the relay to workers, and runs the schedule.

Celery's worker runs in a thread of the worker process. Each of its job threads passes
an id to the process's event loop, and blocks there until the job is over. Redis need
not be durable: an id that a worker has received is gone from Redis, and if that worker
crashes, the relay publishes it again. So there are no acknowledgements, results, events
or remote control.
"""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import UUID

import anyio
import structlog
from anyio import to_thread
from anyio.from_thread import BlockingPortal
from celery import Celery
from celery.beat import Scheduler
from celery.bootsteps import RUN, StartStopStep  # type: ignore[attr-defined]
from celery.concurrency.thread import TaskPool
from celery.exceptions import WorkerShutdown
from celery.schedules import crontab
from celery.worker import WorkController
from celery.worker.consumer import Consumer, Tasks
from celery.worker.request import Request
from kombu import Connection, Queue
from kombu.asynchronous import set_event_loop
from kombu.exceptions import KombuError
from redis.connection import SSLConnection, UnixDomainSocketConnection, parse_url
from redis.exceptions import RedisError

from ..core.about import DISTRIBUTION
from ..core.outbox.handlers import Schedule
from ..core.outbox.patience import Outage, pause
from ..core.outbox.relay import BrokerUnavailableError, Publish
from ..core.settings import ServiceSettings

log = structlog.stdlib.get_logger(__name__)

QUEUE = "jobs"
"""The Redis list, after the prefix, that holds the ids."""

TASK = "job"
"""The name of Celery's only task."""

CHECK_SECONDS = 5
"""The interval of health checks on an idle connection."""

RETRY_SECONDS = 1
"""The pause before a reconnect to Redis."""

TICK_SECONDS = 60
"""The longest sleep of the scheduler, so that it notices a change of the clock."""

LOG_LEVELS = {
    "celery": logging.WARNING,
    "kombu": logging.WARNING,
    # A worker that shuts down puts back an id that arrived meanwhile, which is normal.
    "kombu.transport.virtual.base": logging.ERROR,
}
"""Below these levels, Celery logs two lines per job, besides the runner's own."""

BROKER_ERRORS = (KombuError, RedisError, OSError)


@asynccontextmanager
async def open_publisher(settings: ServiceSettings) -> AsyncIterator[Publish]:
    """Yield the function that publishes the id of a message to the workers.

    The function raises ``BrokerUnavailableError`` if Redis does not respond in time.
    """
    celery = _open_celery(settings)
    # Celery shares its own connections, so it is unknown when to close them.
    connection = celery.connection_for_write()
    producer = celery.amqp.Producer(connection)
    one_at_a_time = anyio.CapacityLimiter(1)

    def load() -> object:
        # Celery imports these at first use; that must not count towards Redis's
        # timeout.
        return connection.transport, celery.events

    def send(message_id: UUID) -> None:
        arguments = (str(message_id),)
        celery.send_task(TASK, args=arguments, producer=producer, retry=False)

    async def publish(message_id: UUID) -> None:
        try:
            with anyio.fail_after(settings.redis_seconds):
                await to_thread.run_sync(
                    partial(send, message_id),
                    limiter=one_at_a_time,
                    abandon_on_cancel=True,
                )
        except BROKER_ERRORS as error:
            raise BrokerUnavailableError from error

    await to_thread.run_sync(load)
    try:
        yield publish
    finally:
        connection.release()
        celery.close()


async def consume(
    settings: ServiceSettings,
    run: Callable[[UUID], Awaitable[None]],
    stopping: anyio.Event,
) -> None:
    """Run the jobs of published messages until ``stopping`` is set.

    Then it accepts no more, and returns when the running jobs are over. During an
    outage of Redis, it waits. Cancelling it cancels the jobs.

    Args:
        settings: The URL of Redis, and the maximum of concurrent jobs.
        run: Runs the job of a message.
        stopping: Set when it is time to stop.
    """
    for name, level in LOG_LEVELS.items():
        logging.getLogger(name).setLevel(level)
    async with BlockingPortal() as portal:
        while not stopping.is_set():
            await _work(settings, partial(portal.call, run), stopping)
            await pause(stopping)
            if not stopping.is_set():
                # Celery stopped because of an unexpected error, such as a key of
                # another type, and has logged it.
                log.error("celery_restarted")


async def schedule(
    settings: ServiceSettings,
    entries: Sequence[Schedule],
    enqueue: Callable[[Schedule, datetime], Awaitable[None]],
    stopping: anyio.Event,
) -> None:
    """Enqueue messages at their scheduled times until ``stopping`` is set.

    Args:
        settings: The service's settings.
        entries: The messages to enqueue, and their times in UTC.
        enqueue: Receives an entry and the minute it is due.
        stopping: Set when it is time to stop.
    """
    beat = _Beat(_open_celery(settings), entries)
    while not stopping.is_set():
        seconds = beat.tick()
        for entry, minute in beat.take_due():
            await enqueue(entry, minute)
        await pause(stopping, seconds)


def broker(url: str) -> tuple[str, dict[str, object] | None]:
    """Convert a Redis URL to Celery's form, and return the TLS options.

    Celery has another scheme for sockets, and by default trusts every certificate.

    Args:
        url: The URL in redis-py's form.
    """
    place = parse_url(url)  # type: ignore[no-untyped-call]
    who = ""
    if password := place.get("password"):
        user = quote(place.get("username", ""), safe="")
        who = f"{user}:{quote(password, safe='')}@"
    kind, number = place.get("connection_class"), place.get("db", 0)
    if kind is UnixDomainSocketConnection:
        return f"redis+socket://{who}{quote(place['path'])}?virtual_host={number}", None
    host, port = place.get("host", "localhost"), place.get("port", 6379)
    where = f"{who}{f'[{host}]' if ':' in host else host}:{port}/{number}"
    if kind is not SSLConnection:
        return f"redis://{where}", None
    chosen = {name: value for name, value in place.items() if name.startswith("ssl_")}
    return f"rediss://{where}", {"ssl_cert_reqs": "required", **chosen}


def _open_celery(settings: ServiceSettings) -> Celery:
    url, tls = broker(settings.redis_url.get_secret_value())
    celery = Celery(DISTRIBUTION, set_as_current=False, fixups=[])
    celery.conf.update(
        broker_url=url,
        broker_use_ssl=tls,
        broker_connection_retry_on_startup=True,
        broker_channel_error_retry=True,
        broker_transport_options={
            "global_keyprefix": f"{settings.redis_prefix}:",
            "ack_emulation": False,
            "priority_steps": [0],
            "health_check_interval": CHECK_SECONDS,
            "socket_connect_timeout": settings.redis_seconds,
            # Longer than a blocking read waits in Redis when there are no jobs.
            "socket_timeout": 1 + settings.redis_seconds,
            # The relay retries.
            "max_retries": 0,
        },
        # Redis holds nothing but the list itself, so an emptied Redis lacks nothing.
        task_queues=[Queue(QUEUE, no_ack=True, no_declare=True)],
        task_default_queue=QUEUE,
        task_create_missing_queues=False,
        task_ignore_result=True,
        result_expires=None,
        task_serializer="json",
        accept_content=["json"],
        timezone="UTC",
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
    )
    return celery


async def _work(
    settings: ServiceSettings, run: Callable[[UUID], None], stopping: anyio.Event
) -> None:
    """Run Celery until ``stopping`` is set or it stops because of an error."""
    celery = _open_celery(settings)

    @celery.task(name=TASK, shared=False, Request=_TakenRequest)
    def _job(message_id: str) -> None:
        # Raised when the worker is cancelled, and the job with it.
        with suppress(CancelledError):
            run(UUID(message_id))

    celery.steps["consumer"].add(_LimitToFreeThreads)
    # Otherwise Celery would use the event loop of another worker in this process.
    set_event_loop(None)
    worker = _Worker(
        celery,
        pool=_JobThreads,
        concurrency=settings.jobs_concurrency,
        consumer_cls=_ReconnectingConsumer,
        use_eventloop=True,
        without_gossip=True,
        without_heartbeat=True,
        without_mingle=True,
    )

    async def stop_when_requested() -> None:
        try:
            await stopping.wait()
        finally:
            # Also when this is cancelled, because the thread cannot be.
            worker.request_stop()

    async with anyio.create_task_group() as group:
        group.start_soon(stop_when_requested)
        await to_thread.run_sync(worker.start, limiter=anyio.CapacityLimiter(1))
        group.cancel_scope.cancel()
    celery.close()


class _Worker(WorkController):
    """Celery's worker, stopped by a call instead of a signal."""

    is_stopping = False

    def request_stop(self) -> None:
        """Request the worker's thread to stop it, and return at once."""
        self.is_stopping = True
        hub: Any = self.hub
        hub.call_soon(self.stop_if_requested)

    def stop_if_requested(self) -> None:
        """Leave Celery's loop, in its own thread, unless it has ended."""
        blueprint: Any = self.blueprint
        if self.is_stopping and blueprint.state == RUN:
            raise WorkerShutdown(0)


class _TakenRequest(Request):
    """A job whose id is gone from Redis, so there is nothing to acknowledge."""

    def acknowledge(self) -> None:
        self.acknowledged = True


class _JobThreads(TaskPool):
    """Celery's thread pool; wakes Celery's loop when a thread is free."""

    def __init__(self, *args: Any, app: Celery, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*args, app=app, **options)
        self.executor = ThreadPoolExecutor(
            self.limit, "job", initializer=app.set_current
        )
        self._running: set[Future[Any]] = set()

    @property
    def has_free_thread(self) -> bool:
        """Whether another job would start at once."""
        return bool(len(self._running) < self.limit)

    def register_with_event_loop(self, loop: Any) -> None:  # noqa: ANN401
        """Store the loop."""
        self._loop = loop

    def on_apply(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        """Start a job."""
        job = super().on_apply(*args, **options)
        self._running.add(job.f)
        job.f.add_done_callback(self._note_end)
        return job

    def _note_end(self, job: Future[Any]) -> None:
        self._running.discard(job)
        # The call wakes the loop, which checks again whether it can accept more.
        self._loop.call_soon(lambda: None)


class _LimitToFreeThreads(StartStopStep):
    """Leaves ids in Redis, for other workers, while no thread is free.

    Celery's own limit counts unacknowledged messages, and here none is acknowledged.
    """

    requires = (Tasks,)

    def start(self, parent: Any) -> None:  # noqa: ANN401
        """Replace the limit of a new connection."""
        limits = parent.task_consumer.channel.qos
        limits.can_consume = lambda: parent.pool.has_free_thread


class _ReconnectingConsumer(Consumer):
    """Reconnects without a limit of attempts, however long Redis is unavailable."""

    controller: _Worker

    def ensure_connected(self, conn: Connection) -> Connection:
        outage = Outage("broker")
        conn.ensure_connection(
            lambda error, _: outage.begin(error),
            interval_start=RETRY_SECONDS,
            interval_step=0,
            interval_max=RETRY_SECONDS,
            callback=self.controller.stop_if_requested,
        )
        outage.end()
        return conn

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        super().on_connection_error_after_connected(exc)
        # Redis may accept connections, and then refuse commands.
        time.sleep(RETRY_SECONDS)


class _Beat(Scheduler):
    """Celery's scheduler, which collects what is due instead of sending it."""

    producer: Any = None
    """Nothing is sent, so nothing connects to Redis."""

    def __init__(self, celery: Celery, entries: Sequence[Schedule]) -> None:
        self._entries = {str(number): entry for number, entry in enumerate(entries)}
        self._due: list[tuple[Schedule, datetime]] = []
        # A scheduler that is restarted within the scheduled minute does not miss it.
        last = celery.now().replace(second=0, microsecond=0) - timedelta(minutes=1)
        celery.conf.beat_schedule = {
            name: {
                "task": TASK,
                "schedule": _times(entry.cron, celery),
                "last_run_at": last,
            }
            for name, entry in self._entries.items()
        }
        super().__init__(celery, max_interval=TICK_SECONDS)

    def apply_entry(self, entry: Any, producer: object = None) -> None:  # noqa: ANN401
        # The scheduled minute, however late it is now: schedulers with different delays
        # must name the same one.
        last, until_next, _ = entry.schedule.remaining_delta(entry.last_run_at)
        self._due.append((self._entries[entry.name], last + until_next))

    def take_due(self) -> list[tuple[Schedule, datetime]]:
        due, self._due = self._due, []
        return due


def _times(cron: str, celery: Celery) -> crontab:
    minute, hour, day, month, weekday = cron.split()
    return crontab(minute, hour, weekday, day, month, app=celery)
