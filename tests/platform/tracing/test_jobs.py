"""Every attempt at a job belongs to the trace of the request that caused it."""

from typing import ClassVar

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from order_service.core.about import DISTRIBUTION
from order_service.core.database.session import open_engine
from order_service.core.outbox.handlers import JobContext, Jobs
from order_service.core.outbox.messages import Message
from order_service.settings import Settings

from ..spans import ids_of, keep_spans, open_tracer_provider, parent_of, traced
from ..waiting import wait_until
from ..working import Rows, working

NEEDS = {"jobs"}


class Errand(Message):
    """A job that fails once, and then adds another message."""

    name: ClassVar[str] = "tests.errand"

    note: str


class FollowUp(Message):
    """The message that it adds."""

    name: ClassVar[str] = "tests.follow_up"


def make_jobs() -> Jobs:
    """Build jobs of which the errand fails once, with a secret in its error."""
    jobs = Jobs()
    notes: list[str] = []

    @jobs.handles(Errand)
    async def run_errand(message: Errand, context: JobContext) -> None:
        notes.append(message.note)
        if len(notes) == 1:
            raise RuntimeError(message.note)
        await context.outbox.add(FollowUp())

    @jobs.handles(FollowUp)
    async def follow_up(message: FollowUp, context: JobContext) -> None:
        pass

    return jobs


async def test_attempts_are_children_of_the_span_that_added_the_message(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = keep_spans(monkeypatch)
    quick = traced(settings).model_copy(
        update={"jobs_poll_seconds": 0.02, "jobs_backoff_seconds": 0.05}
    )
    async with open_engine(settings) as engine:
        rows = Rows(engine)
        with (
            open_tracer_provider(settings) as provider,
            provider.get_tracer("test").start_as_current_span("request") as request,
        ):
            message_id = await rows.add(Errand(note="hunter2"), request_id="request-42")
        # As the scheduler does: without a request.
        await rows.add(FollowUp())
        async with working(quick, make_jobs()):
            await wait_until(lambda: rows.is_done(message_id))
            await wait_until(rows.all_done)

    assert isinstance(request, ReadableSpan)
    first, second = spans.named("process tests.errand")
    for number, span in enumerate((first, second), start=1):
        assert span.kind is SpanKind.CONSUMER
        assert (ids_of(span)[0], parent_of(span)) == ids_of(request)
        assert span.instrumentation_scope
        assert span.instrumentation_scope.name == DISTRIBUTION
        assert (span.attributes or {})["messaging.message.id"] == str(message_id)
        assert (span.attributes or {})["app.job.attempt"] == number
    assert dict(first.attributes or {}) == {
        "app.job.attempt": 1,
        "app.job.outcome": "retried",
        "error.type": "RuntimeError",
        "messaging.destination.name": "tests.errand",
        "messaging.message.id": str(message_id),
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.system": "outbox",
    }
    assert first.status.status_code is StatusCode.ERROR
    assert (second.attributes or {})["app.job.outcome"] == "done"
    assert second.status.status_code is StatusCode.UNSET

    follow_ups = spans.named("process tests.follow_up")
    assert sorted(parent_of(span) or "" for span in follow_ups) == [
        "",
        ids_of(second)[1],
    ]
    roots = [span for span in spans.get_finished_spans() if not span.parent]
    assert sorted(span.name for span in roots) == ["process tests.follow_up", "request"]
    assert "hunter2" not in spans.as_text()
