"""Workers run every job once, also after outages of the broker and the database."""

from collections import Counter
from datetime import UTC, datetime
from typing import ClassVar

import anyio
import anyio.to_thread
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from order_service.cli import app
from order_service.core.outbox.handlers import Handlers, JobContext, Jobs
from order_service.core.outbox.messages import Message
from order_service.core.outbox.relay import BrokerUnavailableError
from order_service.settings import Settings
from order_service.worker.engine import open_publisher
from order_service.worker.process import Stop, keep_time
from order_service_dev.redis import LocalRedis

from ..waiting import wait_until
from ..working import Rows, working


class Greeting(Message):
    """A message whose jobs are counted."""

    name: ClassVar[str] = "tests.greeting"

    text: str


@pytest.fixture
def quick(settings: Settings, own_redis: LocalRedis) -> Settings:
    """Return settings of workers on a server that the test may stop, with short delays."""
    return settings.model_copy(
        update={
            "redis_url": SecretStr(own_redis.url),
            "redis_seconds": 0.5,
            "jobs_poll_seconds": 0.02,
            "jobs_redelivery_seconds": 0.5,
            "jobs_backoff_seconds": 0.1,
            "jobs_concurrency": 4,
        }
    )


class Greeter:
    """Handles greetings, counts them, and can be blocked."""

    def __init__(self) -> None:
        """Start unblocked."""
        self.jobs = Jobs()
        self.jobs.handles(Greeting)(self.greet)
        self.started: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.unblocked = anyio.Event()
        self.unblocked.set()

    async def greet(self, message: Greeting, _: JobContext) -> None:
        """Count a greeting, once unblocked."""
        self.started[message.text] += 1
        await self.unblocked.wait()
        self.done[message.text] += 1


@pytest.fixture
def greeter() -> Greeter:
    """Return the handler of greetings."""
    return Greeter()


async def greet(rows: Rows, count: int) -> Counter[str]:
    """Add greetings to the outbox, and return the counts that their jobs must reach."""
    texts = [str(number) for number in range(count)]
    for each in texts:
        await rows.add(Greeting(text=each))
    return Counter(texts)


async def test_outage_of_the_broker_loses_no_message(
    quick: Settings, own_redis: LocalRedis, rows: Rows, greeter: Greeter
) -> None:
    own_redis.stop()
    with capture_logs() as lines:
        # The workers start during the outage, and wait.
        async with working(quick, greeter.jobs), working(quick, greeter.jobs):
            expected = await greet(rows, 10)
            await wait_until(lambda: "broker_unavailable" in [line["event"] for line in lines])
            assert not greeter.started
            assert await rows.count_done() == 0

            own_redis.start()
            await wait_until(lambda: greeter.done.total() == 10)

    assert greeter.done == greeter.started == expected


async def test_broker_that_loses_its_data_loses_no_message(
    quick: Settings, own_redis: LocalRedis, rows: Rows, greeter: Greeter
) -> None:
    greeter.unblocked = anyio.Event()
    with capture_logs():
        async with working(quick, greeter.jobs):
            expected = await greet(rows, 20)
            # Four jobs run, all other messages are only in the broker.
            await wait_until(lambda: greeter.started.total() == 4)
            await wait_until(rows.all_published)
            own_redis.stop()
            own_redis.start()
            greeter.unblocked.set()
            await wait_until(lambda: greeter.done.total() == 20)
            await wait_until(rows.all_done)

    assert greeter.done == greeter.started == expected


async def test_workers_wait_for_an_unavailable_database(
    quick: Settings, rows: Rows, greeter: Greeter
) -> None:
    url = make_url(quick.database_url.get_secret_value())
    server = create_async_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    allow = f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS'
    disconnect = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
    greeter.unblocked = anyio.Event()
    with capture_logs() as lines:
        async with server.connect() as operator, working(quick, greeter.jobs):
            expected = await greet(rows, 8)
            await wait_until(lambda: greeter.started.total() == 4)
            await operator.execute(text(f"{allow} false"))
            await operator.execute(text(disconnect), {"name": url.database})
            # The jobs that run now cannot be committed.
            greeter.unblocked.set()
            await wait_until(lambda: "database_unavailable" in [line["event"] for line in lines])
            await operator.execute(text(f"{allow} true"))
            await wait_until(rows.all_done)
    await server.dispose()

    assert greeter.done.keys() == expected.keys()
    # The four jobs that ran were started again, and no other.
    assert greeter.done.total() == 12


async def test_publishing_to_an_unavailable_broker_raises(
    quick: Settings, own_redis: LocalRedis, rows: Rows
) -> None:
    message_id = await rows.add(Greeting(text="hello"))
    async with open_publisher(quick) as publish:
        await publish(message_id)
        own_redis.stop()
        with pytest.raises(BrokerUnavailableError):
            await publish(message_id)
        own_redis.start()
        await publish(message_id)


async def test_concurrency_is_limited_and_shutdown_starts_no_job(
    quick: Settings, rows: Rows, greeter: Greeter
) -> None:
    greeter.unblocked = anyio.Event()
    with capture_logs():
        async with working(quick, greeter.jobs) as stop:
            await greet(rows, 10)
            # All are published, so only the limit keeps the others from starting.
            await wait_until(rows.all_published)
            await wait_until(lambda: greeter.started.total() == 4)
            await anyio.wait_all_tasks_blocked()
            assert greeter.started.total() == 4
            # After the request to stop, the four may end, and no other starts.
            stop.stopping.set()
            await anyio.wait_all_tasks_blocked()
            greeter.unblocked.set()

    assert greeter.started.total() == greeter.done.total() == await rows.count_done() == 4


async def test_failed_job_is_listed_and_replayed(
    quick: Settings, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_broken = True
    jobs = Jobs()

    @jobs.handles(Greeting)
    async def fail(message: Greeting, _: JobContext) -> None:
        if is_broken:
            raise RuntimeError(message.text)

    monkeypatch.setattr(Settings, "load", lambda: quick)

    async def command(*arguments: str) -> Result:
        # In a thread, because the command runs an event loop of its own.
        return await anyio.to_thread.run_sync(CliRunner().invoke, app, arguments)

    letters = [await rows.add(Greeting(text="hunter2")) for _ in range(3)]
    few = quick.model_copy(update={"jobs_max_attempts": 2})
    with capture_logs():
        async with working(few, jobs):
            await wait_until(rows.all_failed)
            listed = (await command("failed-jobs")).output
            assert [line.count("\t") for line in listed.splitlines()] == [4, 4, 4]
            for letter in letters:
                assert f"{letter}\t" in listed
            assert "\ttests.greeting\t2\tRuntimeError" in listed
            assert "hunter2" not in listed
            assert (await command("failed-jobs", "--limit", "1")).output in listed

            is_broken = False
            replayed = await command("replay-jobs", str(letters[0]))
            assert replayed.output == "Jobs to retry: 1.\n"
            await wait_until(lambda: rows.is_done(letters[0]))
            assert await rows.count_done() == 1
            again = await command("replay-jobs", *map(str, letters))
            assert str(again.exception) == f"Not a failed job: {letters[0]}."
            # A command with a wrong id replays none of the others.
            assert len((await command("failed-jobs")).output.splitlines()) == 2
            assert (await command("replay-jobs", "--all")).exit_code == 0
            await wait_until(rows.all_done)

    for unclear in (["replay-jobs"], ["replay-jobs", "--all", str(letters[0])]):
        problem = (await command(*unclear)).exception
        assert str(problem) == "Name the messages, or use --all."
    silent = SecretStr("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    away = quick.model_copy(update={"database_url": silent})
    monkeypatch.setattr(Settings, "load", lambda: away)
    problem = (await command("failed-jobs")).exception
    assert str(problem) == "The database does not respond: ConnectionRefusedError."


async def test_two_schedulers_add_a_due_message_once(quick: Settings, rows: Rows) -> None:
    jobs, stop = Jobs(), Stop()
    jobs.schedule("* * * * *", Greeting(text="every minute"))
    jobs.schedule(f"0 0 1 {datetime.now(UTC).month % 12 + 1} *", Greeting(text="later"))
    with capture_logs() as lines:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(keep_time, quick, Handlers.of([jobs]), stop)

            def written() -> list[bool]:
                return [line["is_new"] for line in lines if line["event"] == "message_scheduled"]

            await wait_until(lambda: len(written()) >= 2, seconds=70)
            stop.stopping.set()

    # Two schedulers add one message in each minute; the minute may have changed meanwhile.
    sent = [row.payload["text"] for row in await rows.all()]
    assert sent == ["every minute"] * written().count(True)
    assert written().count(True) < len(written())
