"""Metrics of jobs: how they ended, and what is left to do."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import nan
from time import perf_counter
from typing import get_args

import anyio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ..outbox.models import IS_OPEN, OutboxMessage
from ..outbox.patience import DATABASE_ERRORS
from ..outbox.runner import Outcome, Run
from .registry import MULTIPROC_MODE, serve_metrics
from .settings import MetricsSettings

POLL_SECONDS = 5.0

UNKNOWN = "unknown"
"""The outcome when the attempt itself was interrupted."""

DURATIONS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""In seconds: jobs do what is too slow for a request."""


@contextmanager
def open_registry(settings: MetricsSettings) -> Iterator[CollectorRegistry]:
    """Make the registry of a worker or scheduler, and serve it on METRICS_PORT."""
    registry = CollectorRegistry()
    with serve_metrics(settings, registry):
        yield registry


class JobMetrics:
    """Counts attempts at jobs, by the name of the message they are done for.

    Prometheus calls what it reads from a job, too, and so that label is taken.
    """

    def __init__(
        self, registry: CollectorRegistry, messages: Iterable[str] = ()
    ) -> None:
        """Register the metrics.

        Args:
            registry: Where they are kept.
            messages: The known names: from the start each of their outcomes has a
                series, because the first sample of a new series is no increase.
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
        """Measure one attempt."""
        started = perf_counter()
        try:
            yield
        finally:
            self._jobs.labels(run.name, run.outcome or UNKNOWN).inc()
            self._durations.labels(run.name).observe(perf_counter() - started)


class OutboxMetrics:
    """How much there is to do: every worker reports the same, because they share it."""

    def __init__(self, engine: AsyncEngine, registry: CollectorRegistry) -> None:
        """Register the metrics."""
        self._engine = engine

        def gauge(name: str, description: str) -> Gauge:
            return Gauge(
                name, description, registry=registry, multiprocess_mode=MULTIPROC_MODE
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
        """Query every few seconds, for ever."""
        while True:
            await self.query()
            await anyio.sleep(POLL_SECONDS)

    async def query(self) -> None:
        """Query once; while the database does not respond, the values are unknown."""
        age = func.extract("epoch", func.now() - func.min(OutboxMessage.created_at))
        # Each query has its own index, which one query for all would not use.
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
        except DATABASE_ERRORS:
            waiting = failed = oldest = nan
        self._waiting.set(waiting)
        self._failed.set(failed)
        self._oldest.set(oldest)


@asynccontextmanager
async def watching_outbox(
    engine: AsyncEngine, registry: CollectorRegistry
) -> AsyncIterator[None]:
    """Keep the metrics of the outbox up to date."""
    async with anyio.create_task_group() as group:
        group.start_soon(OutboxMetrics(engine, registry).watch)
        yield
        group.cancel_scope.cancel()
