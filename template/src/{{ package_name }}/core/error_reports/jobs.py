"""Jobs that have failed for good are reported as unexpected errors are."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..outbox.context import REQUEST_ID
from ..outbox.runner import Run
from .reports import ErrorReports


class JobReports:
    """Reports the last attempt at a job; that another one follows is in the log."""

    def __init__(self, reports: ErrorReports) -> None:
        """Take what reports."""
        self._reports = reports

    @contextmanager
    def __call__(self, run: Run) -> Iterator[None]:
        """Attend to one attempt."""
        tags = {
            "attempt": str(run.attempt),
            "job": run.name,
            "message_id": str(run.message_id),
            "request_id": run.context.get(REQUEST_ID, ""),
        }
        with self._reports.attending(tags):
            yield
            if run.outcome == "failed" and run.error is not None:
                self._reports.report(run.error, run.name, tags)
