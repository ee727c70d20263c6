"""Celery carries the ids of messages from the relay to a worker, and keeps the time.

Celery's worker lives in a thread of the worker process. Each of its job threads hands
an id to the process's event loop, and waits there until the job is over. Nothing in
Redis needs to be kept: an id that a worker has taken is gone from there, and should
the worker be lost with it, the relay publishes it again. So there are no
acknowledgements, no results, no events and no remote control.
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
"""The list in Redis, after the prefix, that holds the ids."""

TASK = "job"
"""What Celery calls the one thing that it runs."""

CHECK_SECONDS = 5
"""How long a silent connection is trusted before it is tried."""

RETRY_SECONDS = 1
"""How long Redis is left alone before the next attempt to connect."""

TICK_SECONDS = 60
"""How long the scheduler sleeps at most, so that it notices a clock that was set."""

LOG_LEVELS = {
    "celery": logging.WARNING,
    "kombu": logging.WARNING,
    # A worker that stops puts an id back that arrived meanwhile: nothing to warn of.
    "kombu.transport.virtual.base": logging.ERROR,
}
"""Below these, Celery writes two lines for each job, beside the runner's own."""

# Named, because formatting for Python 3.14 drops parentheses that 3.11 needs.
SILENCE = (KombuError, RedisError, OSError)


@asynccontextmanager
async def open_publisher(settings: ServiceSettings) -> AsyncIterator[Publish]:
    """Give what hands the id of a message to the workers.

    It raises ``BrokerUnavailableError`` if Redis does not take the id in time.
    """
    celery = _open_celery(settings)
    # Of Celery's own connections, which it shares, nobody knows when to close them.
    connection = celery.connection_for_write()
    producer = celery.amqp.Producer(connection)
    one_at_a_time = anyio.CapacityLimiter(1)

    def load() -> object:
        # Celery imports these when they are first used, which is not Redis's time.
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
        except SILENCE as error:
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
    """Run the jobs of published messages until it is told to stop.

    Then it takes no more, and returns when those that run are over. While Redis is
    away, it waits. Cancelling it cancels the jobs.

    Args:
        settings: Where Redis is, and how many jobs may run at once.
        run: Does the job of a message.
        stopping: Set when it is time to stop.
    """
    for name, level in LOG_LEVELS.items():
        logging.getLogger(name).setLevel(level)
    async with BlockingPortal() as portal:
        while not stopping.is_set():
            await _work(settings, partial(portal.call, run), stopping)
            await pause(stopping)
            if not stopping.is_set():
                # Celery gave up over something that it did not expect, such as a key
                # with what is not its own, and has logged it.
                log.error("celery_restarted")


async def schedule(
    settings: ServiceSettings,
    entries: Sequence[Schedule],
    enqueue: Callable[[Schedule, datetime], Awaitable[None]],
    stopping: anyio.Event,
) -> None:
    """Enqueue messages at their times until it is told to stop.

    Args:
        settings: The service's settings.
        entries: What to enqueue, and when, in UTC.
        enqueue: Takes an entry and the minute that it is for.
        stopping: Set when it is time to stop.
    """
    beat = _Beat(_open_celery(settings), entries)
    while not stopping.is_set():
        seconds = beat.tick()
        for entry, minute in beat.take_due():
            await enqueue(entry, minute)
        await pause(stopping, seconds)


def broker(url: str) -> tuple[str, dict[str, object] | None]:
    """Write a URL of Redis as Celery reads it, and say how TLS is checked.

    Celery has another name for sockets, and would trust every certificate.

    Args:
        url: As the rest of the service reads it.
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
            # Longer than Redis holds a request back when there are no jobs.
            "socket_timeout": 1 + settings.redis_seconds,
            # The relay is who tries again.
            "max_retries": 0,
        },
        # Nothing but the list itself is kept in Redis, so nothing is missing in one
        # that was emptied.
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
    """Let Celery work until it is told to stop, or gives up."""
    celery = _open_celery(settings)

    @celery.task(name=TASK, shared=False, Request=_TakenRequest)
    def _job(message_id: str) -> None:
        # It is raised when the worker is cancelled, and the job with it.
        with suppress(CancelledError):
            run(UUID(message_id))

    celery.steps["consumer"].add(_TakeNoMoreThanRun)
    # Otherwise Celery would use the loop of another worker of this process.
    set_event_loop(None)
    worker = _Worker(
        celery,
        pool=_JobThreads,
        concurrency=settings.jobs_concurrency,
        consumer_cls=_PatientConsumer,
        use_eventloop=True,
        without_gossip=True,
        without_heartbeat=True,
        without_mingle=True,
    )

    async def stop_when_told() -> None:
        try:
            await stopping.wait()
        finally:
            # Also when this is cancelled, because the thread cannot be.
            worker.tell_to_stop()

    async with anyio.create_task_group() as group:
        group.start_soon(stop_when_told)
        await to_thread.run_sync(worker.start, limiter=anyio.CapacityLimiter(1))
        group.cancel_scope.cancel()
    celery.close()


class _Worker(WorkController):
    """Celery's worker, told to stop by a call where others take a signal."""

    is_stopping = False

    def tell_to_stop(self) -> None:
        """Have the thread of the worker stop it, and return at once."""
        self.is_stopping = True
        hub: Any = self.hub
        hub.call_soon(self.stop_if_told)

    def stop_if_told(self) -> None:
        """Leave Celery's loop, in its own thread, unless that has happened."""
        blueprint: Any = self.blueprint
        if self.is_stopping and blueprint.state == RUN:
            raise WorkerShutdown(0)


class _TakenRequest(Request):
    """A job whose id is gone from Redis, so that there is nothing to acknowledge."""

    def acknowledge(self) -> None:
        self.acknowledged = True


class _JobThreads(TaskPool):
    """Celery's pool of threads, which tells its loop when one of them is free."""

    def __init__(self, *args: Any, app: Celery, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*args, app=app, **options)
        self.executor = ThreadPoolExecutor(
            self.limit, "job", initializer=app.set_current
        )
        self._running: set[Future[Any]] = set()

    @property
    def has_free_thread(self) -> bool:
        """Whether another job would begin at once."""
        return bool(len(self._running) < self.limit)

    def register_with_event_loop(self, loop: Any) -> None:  # noqa: ANN401
        """Remember the loop."""
        self._loop = loop

    def on_apply(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        """Begin a job."""
        job = super().on_apply(*args, **options)
        self._running.add(job.f)
        job.f.add_done_callback(self._note_end)
        return job

    def _note_end(self, job: Future[Any]) -> None:
        self._running.discard(job)
        # That it is called makes the loop look again whether it can take more.
        self._loop.call_soon(lambda: None)


class _TakeNoMoreThanRun(StartStopStep):
    """Leaves ids in Redis, for other workers, while no thread is free.

    Celery would count what is not acknowledged, and nothing is.
    """

    requires = (Tasks,)

    def start(self, parent: Any) -> None:  # noqa: ANN401
        """Replace the limit of a connection that was just made."""
        limits = parent.task_consumer.channel.qos
        limits.can_consume = lambda: parent.pool.has_free_thread


class _PatientConsumer(Consumer):
    """Tries to connect again and again, however long Redis is away."""

    controller: _Worker

    def ensure_connected(self, conn: Connection) -> Connection:
        outage = Outage("broker")
        conn.ensure_connection(
            lambda error, _: outage.begin(error),
            interval_start=RETRY_SECONDS,
            interval_step=0,
            interval_max=RETRY_SECONDS,
            callback=self.controller.stop_if_told,
        )
        outage.end()
        return conn

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        super().on_connection_error_after_connected(exc)
        # Redis may accept connections, and then refuse what is asked of it.
        time.sleep(RETRY_SECONDS)


class _Beat(Scheduler):
    """Celery's scheduler, which notes what is due instead of sending it."""

    producer: Any = None
    """There is nothing to send, so nothing connects to Redis."""

    def __init__(self, celery: Celery, entries: Sequence[Schedule]) -> None:
        self._entries = {str(number): entry for number, entry in enumerate(entries)}
        self._due: list[tuple[Schedule, datetime]] = []
        # A scheduler that was restarted in the minute that is asked for does not miss it.
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
        # The minute that was asked for, however late it is now: schedulers that are
        # not equally late must name the same one.
        last, until_next, _ = entry.schedule.remaining_delta(entry.last_run_at)
        self._due.append((self._entries[entry.name], last + until_next))

    def take_due(self) -> list[tuple[Schedule, datetime]]:
        due, self._due = self._due, []
        return due


def _times(cron: str, celery: Celery) -> crontab:
    minute, hour, day, month, weekday = cron.split()
    return crontab(minute, hour, weekday, day, month, app=celery)
