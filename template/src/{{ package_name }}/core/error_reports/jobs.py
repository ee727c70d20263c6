"""Reports jobs that have failed for good, like unexpected errors of requests."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..outbox.context import REQUEST_ID
from ..outbox.runner import Run
from .reports import ErrorReports


class JobReports:
    """Reports the last attempt at a job; failures that are retried are only logged."""

    def __init__(self, reports: ErrorReports) -> None:
        """Report to this Sentry client."""
        self._reports = reports

    @contextmanager
    def __call__(self, run: Run) -> Iterator[None]:
        """Wrap one attempt, and report its error if it was the last."""
        tags = {
            "attempt": str(run.attempt),
            "job": run.name,
            "message_id": str(run.message_id),
            "request_id": run.context.get(REQUEST_ID, ""),
        }
        with self._reports.tagged_scope(tags):
            yield
            if run.outcome == "failed" and run.error is not None:
                self._reports.report(run.error, run.name, tags)
