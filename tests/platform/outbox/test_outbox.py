"""A message is stored with its transaction, published once, and its job is done once."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from uuid import UUID

import anyio
import anyio.lowlevel
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.contextvars import merge_contextvars
from structlog.stdlib import get_logger
from structlog.testing import capture_logs

from order_service.core.database.session import (
    AFTER_COMMIT,
    sessions_of,
)
from order_service.core.http_client.client import HttpClient, open_http_client
from order_service.core.outbox.dead_letters import DeadLetters
from order_service.core.outbox.handlers import (
    Handlers,
    JobContext,
    Jobs,
    Schedule,
)
from order_service.core.outbox.messages import Message
from order_service.core.outbox.outbox import (
    MOST_BYTES,
    MessageTooLargeError,
    Outbox,
)
from order_service.core.outbox.relay import (
    BATCH,
    BrokerUnavailableError,
    Relay,
)
from order_service.core.outbox.runner import Run, Runner
from order_service.settings import Settings
from order_service.worker import jobs as worker_jobs
from order_service.worker.messages import PurgeOutbox
from order_service.worker.process import add_scheduled

from ..waiting import wait_until
from ..working import Rows

log = get_logger(__name__)


class Greeting(Message):
    """A message whose handler a test chooses."""

    name: ClassVar[str] = "tests.greeting"

    text: str = "hello"


class Echo(Message):
    """The message that a greeting's job adds: its only effect."""

    name: ClassVar[str] = "tests.echo"

    text: str = "hello"


Handler = Callable[[Greeting, JobContext], Awaitable[None]]


class Outbound:
    """A relay and a runner with a list in place of the broker."""

    def __init__(
        self,
        engine: AsyncEngine,
        http: HttpClient,
        settings: Settings,
        handler: Handler,
    ) -> None:
        """Use one handler for greetings."""
        jobs = Jobs()
        jobs.handles(Greeting)(handler)
        self.runs: list[Run] = []
        self.published: list[UUID] = []
        self.relay = Relay(engine, self.publish, settings)
        self.runner = Runner(engine, http, settings, Handlers.of([jobs]), [self.watch])

    @contextmanager
    def watch(self, run: Run) -> Iterator[None]:
        """Record an attempt after its end."""
        yield
        self.runs.append(run)

    async def publish(self, message_id: UUID) -> None:
        """Accept an id, as a broker does."""
        self.published.append(message_id)

    async def run_due(self) -> None:
        """Publish what is due, and run its jobs."""
        await self.relay.publish_due()
        while self.published:
            await self.runner.run(self.published.pop(0))

    @property
    def outcomes(self) -> list[str | None]:
        """The outcomes of all attempts, in their order."""
        return [run.outcome for run in self.runs]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    # Printing the tracebacks of failing jobs takes longer than the jobs.
    with capture_logs():
        yield


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Return settings with which a failed job is due again at once."""
    return settings.model_copy(update={"jobs_backoff_seconds": 1e-6, "jobs_max_attempts": 3})


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[HttpClient]:
    """Open the client for outgoing calls."""
    async with open_http_client(settings) as http:
        yield http


@pytest.fixture
def new_outbound(engine: AsyncEngine, http: HttpClient, quick: Settings) -> Callable[..., Outbound]:
    """Return a function that takes a handler of greetings."""

    def make(handler: Handler, **changes: object) -> Outbound:
        settings = quick.model_copy(update=changes)
        return Outbound(engine, http, settings, handler)

    return make


async def echo(message: Greeting, context: JobContext) -> None:
    """Add a message that has no handler."""
    log.info("echoing")
    await context.outbox.add(Echo(text=message.text))


async def echoes(rows: Rows) -> list[str]:
    """Return the texts of all echoes in the database."""
    return [row.payload["text"] for row in await rows.all() if row.name == Echo.name]


async def test_message_is_stored_or_rolled_back_with_its_transaction(
    engine: AsyncEngine, rows: Rows
) -> None:
    async with sessions_of(engine)() as session:
        await Outbox(session, {}).add(Greeting(text="rolled back"))
        await session.rollback()
        await Outbox(session, {}).add(Greeting(text="stored"))
        await session.commit()

    assert [row.payload["text"] for row in await rows.all()] == ["stored"]


async def test_several_relays_publish_each_message_once(
    engine: AsyncEngine, rows: Rows, quick: Settings
) -> None:
    published: Counter[UUID] = Counter()
    added = {await rows.add(Greeting()) for _ in range(BATCH + 50)}

    async def publish(message_id: UUID) -> None:
        await anyio.lowlevel.checkpoint()
        published[message_id] += 1

    async def relay_all() -> None:
        relay = Relay(engine, publish, quick)
        while await relay.publish_due(20):
            pass

    async with engine.begin() as other:
        # A relay that is slow to commit delays only the messages that it has locked.
        result = await other.scalars(text("SELECT id FROM outbox_messages LIMIT 20 FOR UPDATE"))
        locked = set(result.all())
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(relay_all)
    assert published == dict.fromkeys(added - locked, 1)

    await relay_all()

    assert published == dict.fromkeys(added, 1)
    assert {row.publications for row in await rows.all()} == {1}


async def test_message_is_published_again_after_a_failure_of_the_broker(
    engine: AsyncEngine, rows: Rows, quick: Settings
) -> None:
    published: list[UUID] = []
    capacity = 3

    async def publish(message_id: UUID) -> None:
        if len(published) == capacity:
            raise BrokerUnavailableError
        published.append(message_id)

    relay = Relay(engine, publish, quick)
    added = [await rows.add(Greeting()) for _ in range(10)]
    with pytest.raises(BrokerUnavailableError):
        await relay.publish_due()
    marked = [row.id for row in await rows.all() if row.publications]
    assert sorted(marked) == sorted(published) == sorted(added[:capacity])
    # A second failure changes nothing for the rest.
    with pytest.raises(BrokerUnavailableError):
        await relay.publish_due(1)

    capacity = 100
    await relay.publish_due()

    assert published == added


async def test_delay_before_redelivery_doubles_up_to_an_hour(
    rows: Rows, new_outbound: Callable[..., Outbound]
) -> None:
    outbound = new_outbound(echo, jobs_redelivery_seconds=60)
    message_id = await rows.add(Greeting())
    delays = []

    for _ in range(8):
        await outbound.relay.publish_due()
        assert await outbound.relay.publish_due() == 0
        row = await rows.get(message_id)
        delays.append((row.available_at - datetime.now(UTC)).total_seconds())
        await rows.run("UPDATE outbox_messages SET available_at = now()")

    assert outbound.published == [message_id] * 8
    expected = [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert delays == pytest.approx(expected, abs=10)


async def test_duplicate_delivery_has_one_effect(
    rows: Rows, new_outbound: Callable[..., Outbound]
) -> None:
    async def echo_slowly(message: Greeting, context: JobContext) -> None:
        await echo(message, context)
        await anyio.sleep(0.05)

    outbound = new_outbound(echo_slowly)
    message_id = await rows.add(Greeting())
    await outbound.relay.publish_due()

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(outbound.runner.run, message_id)
    await outbound.runner.run(message_id)

    assert await echoes(rows) == ["hello"]
    assert outbound.outcomes == ["done"]
    assert (await rows.get(message_id)).attempts == 1
    # A message whose id arrives before it is due is not started.
    early = await rows.add(Greeting())
    await outbound.runner.run(early)
    assert not await rows.is_done(early)


async def test_job_is_retried_then_dead_lettered_then_replayed(
    engine: AsyncEngine, rows: Rows, new_outbound: Callable[..., Outbound]
) -> None:
    is_broken = True

    async def fail(message: Greeting, context: JobContext) -> None:
        await echo(message, context)
        if is_broken:
            raise RuntimeError(message.text)

    outbound = new_outbound(fail)
    message_id = await rows.add(Greeting(text="hunter2"))
    for _ in range(5):
        await outbound.run_due()

    assert outbound.outcomes == ["retried", "retried", "failed"]
    assert [run.attempt for run in outbound.runs] == [1, 2, 3]
    assert await echoes(rows) == []
    async with sessions_of(engine).begin() as session:
        (letter,) = await DeadLetters(session).list_newest(10)
        assert (letter.id, letter.error) == (message_id, "RuntimeError")
        replayed = await DeadLetters(session).replay([message_id])
    assert replayed == {message_id}

    is_broken = False
    await outbound.run_due()

    assert outbound.outcomes[3:] == ["done"]
    assert outbound.runs[-1].attempt == 1
    assert await echoes(rows) == ["hunter2"]


async def test_backoff_is_random_and_its_limit_doubles(
    rows: Rows, new_outbound: Callable[..., Outbound]
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError

    outbound = new_outbound(fail, jobs_backoff_seconds=100)
    for _ in range(40):
        await rows.add(Greeting())
    for limit in (100, 200):
        await outbound.run_due()
        delays = [
            (row.available_at - datetime.now(UTC)).total_seconds() for row in await rows.all()
        ]
        assert max(delays) <= limit
        assert min(delays) < limit / 2 < max(delays)
        # Until then, an id that arrives is not started.
        await outbound.runner.run((await rows.all())[0].id)
        assert len(outbound.runs) == limit / 100 * 40
        await rows.run("UPDATE outbox_messages SET available_at = now()")


async def test_invalid_message_is_dead_lettered_at_once(
    rows: Rows, new_outbound: Callable[..., Outbound]
) -> None:
    outbound = new_outbound(echo)
    unknown = await rows.add(Echo(text="hunter2"))
    unreadable = await rows.add(Greeting())
    await rows.set(unreadable, """payload = '{"text": ["hunter2"]}'""")

    await outbound.run_due()

    assert outbound.outcomes == ["failed", "failed"]
    for message_id, problem in (
        (unknown, "nothing handles tests.echo"),
        (unreadable, "text string_type"),
    ):
        error = (await rows.get(message_id)).error
        assert error == f"UnusableMessageError: {problem}"
    assert all("hunter2" not in str(run.error) for run in outbound.runs)


async def wait_here(message: Greeting, context: JobContext) -> None:
    """Hang in this process."""
    await echo(message, context)
    await anyio.sleep_forever()


async def wait_in_the_database(message: Greeting, context: JobContext) -> None:
    """Hang in a statement."""
    await echo(message, context)
    await context.session.execute(text("SELECT pg_sleep(60)"))


WAITS = pytest.mark.parametrize("handler", [wait_here, wait_in_the_database])


@WAITS
async def test_hanging_job_is_cancelled_after_its_timeout(
    rows: Rows, new_outbound: Callable[..., Outbound], handler: Handler
) -> None:
    outbound = new_outbound(handler, job_seconds=0.1)
    message_id = await rows.add(Greeting())

    with anyio.fail_after(30):
        await outbound.run_due()

    assert outbound.outcomes == ["retried"]
    assert (await rows.get(message_id)).error == "TimeoutError"
    assert await echoes(rows) == []


@WAITS
async def test_returned_job_is_the_first_attempt_of_another_worker(
    rows: Rows, new_outbound: Callable[..., Outbound], handler: Handler
) -> None:
    started = anyio.Event()

    async def signal_and_hang(message: Greeting, context: JobContext) -> None:
        started.set()
        await handler(message, context)

    outbound, other = new_outbound(signal_and_hang), new_outbound(echo)
    await rows.add(Greeting())
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(outbound.run_due)
            await started.wait()
            await anyio.sleep(0.05)
            outbound.runner.give_back()
    assert outbound.outcomes == ["returned"]
    assert await echoes(rows) == []

    await other.run_due()

    assert other.outcomes == ["done"]
    assert other.runs[0].attempt == 1
    assert await echoes(rows) == ["hello"]


async def test_commit_by_a_handler_is_rolled_back_if_the_job_fails(
    rows: Rows, new_outbound: Callable[..., Outbound]
) -> None:
    committed: list[str] = []

    async def commit_and_fail(message: Greeting, context: JobContext) -> None:
        async def note() -> None:
            committed.append(message.text)

        context.session.info[AFTER_COMMIT] = [note]
        await echo(message, context)
        await context.session.commit()
        if message.text == "broken":
            raise RuntimeError

    outbound = new_outbound(commit_and_fail)
    for greeting in ("broken", "working"):
        await rows.add(Greeting(text=greeting))
    await outbound.run_due()

    assert sorted(filter(None, outbound.outcomes)) == ["done", "retried"]
    assert await echoes(rows) == ["working"]
    assert committed == ["working"]


async def test_job_that_kills_its_workers_is_dead_lettered(
    rows: Rows, new_outbound: Callable[..., Outbound]
) -> None:
    outbound = new_outbound(echo)
    message_id = await rows.add(Greeting())
    # Three workers have started it, and none has recorded an outcome.
    await rows.run("UPDATE outbox_messages SET attempts = 3")

    await outbound.run_due()

    assert outbound.outcomes == ["failed"]
    assert (await rows.get(message_id)).error == "LostWorkersError"
    assert await echoes(rows) == []


async def test_text_is_not_changed_by_its_storage(
    rows: Rows, new_outbound: Callable[..., Outbound]
) -> None:
    outbound = new_outbound(echo)
    hostile = "NUL \0, \u2028, '; DROP TABLE users; -- and \N{OWL}"
    await rows.add(Greeting(text=hostile))

    await outbound.run_due()

    assert await echoes(rows) == [hostile]


async def test_oversized_message_is_rejected(rows: Rows) -> None:
    with pytest.raises(MessageTooLargeError, match="greeting takes more than"):
        await rows.add(Greeting(text="x" * MOST_BYTES))

    assert await rows.all() == []


async def test_log_lines_of_a_job_name_the_request(
    rows: Rows, new_outbound: Callable[..., Outbound]
) -> None:
    outbound = new_outbound(echo)
    message_id = await rows.add(Greeting(), request_id="r-42", other="x")

    with capture_logs([merge_contextvars]) as lines:
        await outbound.run_due()

    assert [line["event"] for line in lines] == ["echoing", "job_done"]
    for line in lines:
        assert line["request_id"] == "r-42"
        assert line["message_id"] == str(message_id)
        assert (line["job"], line["attempt"]) == (Greeting.name, 1)
        assert "other" not in line
    # Messages that a job adds keep the context of the request.
    (sent,) = [row for row in await rows.all() if row.name == Echo.name]
    assert sent.context == {"request_id": "r-42", "other": "x"}


async def test_several_schedulers_write_a_message_once(engine: AsyncEngine, rows: Rows) -> None:
    entry = Schedule("0 3 * * *", PurgeOutbox())
    minute = datetime(2030, 1, 1, 3, tzinfo=UTC)
    written: Counter[bool] = Counter()

    async def write() -> None:
        written[await add_scheduled(engine, entry, minute)] += 1

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(write)
    await add_scheduled(engine, entry, minute + timedelta(days=1))

    assert written == {True: 1, False: 4}
    assert len(await rows.all()) == 2


async def test_purge_removes_old_done_messages_only(
    engine: AsyncEngine,
    http: HttpClient,
    quick: Settings,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_jobs, "PURGED_AT_ONCE", 2)
    for days in (8, 6):
        for _ in range(5):
            old = await rows.add(Greeting(text=f"{days} days"))
            await rows.set(old, f"done_at = now() - interval '{days} days'")
    failed = await rows.add(Greeting(text="failed"))
    await rows.set(failed, "failed_at = now() - interval '99 days'")
    await rows.add(PurgeOutbox())
    runner = Runner(engine, http, quick, Handlers.of([worker_jobs.jobs]))
    relay = Relay(engine, runner.run, quick)

    # Each job removes two rows, and adds a message for the next job.
    while await relay.publish_due():
        pass

    kept = Counter(row.payload.get("text", row.name) for row in await rows.all())
    assert kept == {"6 days": 5, "failed": 1, PurgeOutbox.name: 3}


async def test_job_waits_for_an_unavailable_database(
    rows: Rows, new_outbound: Callable[..., Outbound]
) -> None:
    outbound = new_outbound(echo)
    message_id = await rows.add(Greeting())
    await outbound.relay.publish_due()
    await rows.run("ALTER TABLE outbox_messages RENAME TO elsewhere")

    with capture_logs() as lines:
        async with anyio.create_task_group() as group:
            group.start_soon(outbound.runner.run, message_id)
            await wait_until(lambda: lines)
            await rows.run("ALTER TABLE elsewhere RENAME TO outbox_messages")

    events = [line["event"] for line in lines]
    assert events == [
        "database_unavailable",
        "database_available",
        "echoing",
        "job_done",
    ]


def test_message_without_a_name_is_rejected() -> None:
    with pytest.raises(TypeError, match="Nameless needs a `name`"):

        class Nameless(Message):
            pass

    with pytest.raises(TypeError, match="Inheriting needs a `name`"):

        class Inheriting(Greeting):
            pass


def test_second_handler_of_a_message_is_rejected() -> None:
    jobs = Jobs()
    for _ in range(2):
        jobs.handles(Greeting)(echo)

    with pytest.raises(RuntimeError, match=r"tests\.greeting has two handlers"):
        Handlers.of([jobs])


@pytest.mark.parametrize(
    "cron",
    [
        "daily",
        "0 3 * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 7",
        "* * * * mon",
        "5-1 * * * *",
        "1/5 * * * *",
        "*/0 * * * *",
        ", * * * *",
        "0 0 1 * 1",
    ],
)
def test_invalid_schedule_is_rejected(cron: str) -> None:
    with pytest.raises(ValueError, match=r"must have | is not a valid "):
        Jobs().schedule(cron, PurgeOutbox())


@pytest.mark.parametrize("cron", ["0 3 * * *", "*/15 8-17 1,15 1-12/3 *", "5,10-20/2 * * * 1-5"])
def test_schedule_accepts_numbers_ranges_lists_and_steps(cron: str) -> None:
    jobs = Jobs()

    jobs.schedule(cron, PurgeOutbox())

    assert jobs.schedules == [Schedule(cron, PurgeOutbox())]
