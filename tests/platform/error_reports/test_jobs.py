"""A job is reported to Sentry when its last attempt fails, and not before."""

from typing import ClassVar

import pytest
import sentry_sdk

from order_service.core.database.session import open_engine
from order_service.core.outbox.handlers import JobContext, Jobs
from order_service.core.outbox.messages import Message
from order_service.settings import Settings

from ..reports import FakeTransport, fake_transports, reporting
from ..waiting import wait_until
from ..working import Rows, working

NEEDS = {"jobs"}


class Errand(Message):
    """A job that always fails."""

    name: ClassVar[str] = "tests.errand"

    note: str


jobs = Jobs()


@jobs.handles(Errand)
async def run_errand(message: Errand, _: JobContext) -> None:
    """Report a message, and fail."""
    sentry_sdk.capture_message("odd")
    text = f"'{message.note}' is in the way"
    raise RuntimeError(text)


@pytest.fixture
def transports(monkeypatch: pytest.MonkeyPatch) -> list[FakeTransport]:
    """Keep the reports of workers that are started from now on."""
    return fake_transports(monkeypatch)


async def test_job_is_reported_when_its_last_attempt_fails(
    settings: Settings, transports: list[FakeTransport]
) -> None:
    quick = reporting(settings).model_copy(
        update={
            "jobs_poll_seconds": 0.02,
            "jobs_backoff_seconds": 0.05,
            "jobs_max_attempts": 2,
        }
    )
    async with open_engine(settings) as engine:
        rows = Rows(engine)
        message_id = await rows.add(Errand(note="hunter2"), request_id="request-42")
        async with working(quick, jobs):
            await wait_until(rows.all_failed)
            await wait_until(lambda: len(transports[0].events) == 3)

    first, second, failed = transports[0].events
    assert [first["message"], second["message"]] == ["odd", "odd"]
    assert first["tags"]["attempt"] == "1"
    assert failed["transaction"] == "tests.errand"
    assert failed["tags"] == {
        "attempt": "2",
        "job": "tests.errand",
        "message_id": str(message_id),
        "request_id": "request-42",
    }
    (error,) = failed["exception"]["values"]
    assert (error["type"], error["value"]) == (
        "RuntimeError",
        "[hidden] is in the way",
    )
