"""Jobs in numbers: what became of them, and what is left to do."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import nan
from time import perf_counter
from typing import get_args

import anyio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ..outbox.models import IS_OPEN, OutboxMessage
from ..outbox.patience import SILENCE
from ..outbox.runner import Outcome, Run
from .registry import LIVE_SUM

LOOK_SECONDS = 5.0

UNKNOWN = "unknown"
"""What was going on when the attempt itself broke off."""

DURATIONS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""In seconds: jobs do what is too slow for a request."""


class JobMetrics:
    """Counts attempts at jobs, by the name of the message they are done for.

    Prometheus calls what it reads from a job, too, and so that label is taken.
    """

    def __init__(
        self, registry: CollectorRegistry, messages: Iterable[str] = ()
    ) -> None:
        """Register the numbers.

        Args:
            registry: Where they are kept.
            messages: The names that are known: from the start each outcome of theirs
                is there, because the first one of a new series is no increase.
        """
        self._jobs = Counter(
            "jobs_total",
            "Attempts at jobs, by what became of them.",
            ("message", "outcome"),
            registry=registry,
        )
        self._durations = Histogram(
            "job_duration_seconds",
            "How long attempts at jobs took.",
            ("message",),
            buckets=DURATIONS,
            registry=registry,
        )
        for message in messages:
            self._durations.labels(message)
            for outcome in get_args(Outcome):
                self._jobs.labels(message, outcome)

    @contextmanager
    def __call__(self, run: Run) -> Iterator[None]:
        """Watch one attempt."""
        started = perf_counter()
        try:
            yield
        finally:
            self._jobs.labels(run.name, run.outcome or UNKNOWN).inc()
            self._durations.labels(run.name).observe(perf_counter() - started)


class OutboxMetrics:
    """Says how much there is to do: every worker the same, because they share it."""

    def __init__(self, engine: AsyncEngine, registry: CollectorRegistry) -> None:
        """Register the numbers."""
        self._engine = engine

        def gauge(name: str, description: str) -> Gauge:
            return Gauge(
                name, description, registry=registry, multiprocess_mode=LIVE_SUM
            )

        self._waiting = gauge(
            "outbox_messages_waiting", "Messages whose jobs are not done yet."
        )
        self._failed = gauge(
            "outbox_messages_failed", "Messages whose jobs were given up."
        )
        self._oldest = gauge(
            "outbox_oldest_age_seconds", "How long the oldest of them has been waiting."
        )

    async def watch(self) -> None:
        """Look every few seconds, for ever."""
        while True:
            await self.look()
            await anyio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once; while the database does not answer, nothing is known."""
        age = func.extract("epoch", func.now() - func.min(OutboxMessage.created_at))
        # Each question has an index of its own, which one for all would not use.
        questions = [
            select(func.count()).select_from(OutboxMessage).where(IS_OPEN),
            select(func.count())
            .select_from(OutboxMessage)
            .where(OutboxMessage.failed_at.is_not(None)),
            select(func.coalesce(age, 0)).where(IS_OPEN),
        ]
        columns = [question.scalar_subquery() for question in questions]
        try:
            async with self._engine.connect() as connection:
                waiting, failed, oldest = (
                    await connection.execute(select(*columns))
                ).one()
        except SILENCE:
            waiting = failed = oldest = nan
        self._waiting.set(waiting)
        self._failed.set(failed)
        self._oldest.set(oldest)
