"""The outcomes of jobs are counted, and the content of the outbox is measured."""

from contextlib import suppress
from math import isnan
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from sqlalchemy import func

from order_service.core.database.session import open_engine
from order_service.core.metrics.jobs import JobMetrics, OutboxMetrics
from order_service.core.outbox.models import seconds_from_now
from order_service.core.outbox.runner import Outcome, Run
from order_service.settings import Settings

from ..worker_metrics import measured_worker, store_message

NEEDS = {"jobs"}


async def measured(settings: Settings) -> tuple[float, float, float]:
    """Return the numbers of waiting and of failed messages, and the age of the oldest."""
    registry = CollectorRegistry()
    async with open_engine(settings) as engine:
        await OutboxMetrics(engine, registry).query()
    names = ("messages_waiting", "messages_failed", "oldest_age_seconds")
    waiting, failed, oldest = (registry.get_sample_value(f"outbox_{name}") for name in names)
    assert waiting is not None
    assert failed is not None
    assert oldest is not None
    return waiting, failed, oldest


async def test_outbox_is_measured(settings: Settings) -> None:
    assert await measured(settings) == (0, 0, 0)
    await store_message(settings)
    await store_message(settings, created_at=seconds_from_now(-100))
    await store_message(settings, created_at=seconds_from_now(-900), done_at=func.now())
    await store_message(settings, created_at=seconds_from_now(-900), failed_at=func.now())

    waiting, failed, oldest = await measured(settings)

    assert (waiting, failed) == (2, 1)
    assert 100 <= oldest < 200


async def test_values_are_unknown_while_the_database_is_unavailable(
    module_settings: Settings,
) -> None:
    nowhere = SecretStr("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    unavailable = module_settings.model_copy(update={"database_url": nowhere})

    assert all(map(isnan, await measured(unavailable)))


@pytest.mark.parametrize("outcome", ["done", "retried", "failed", "returned"])
def test_every_outcome_is_counted(outcome: Outcome) -> None:
    registry = CollectorRegistry()
    metrics = JobMetrics(registry, ["known"])
    run = Run(uuid4(), "known", 1, {})

    with suppress(RuntimeError), metrics(run):
        run.outcome = outcome
        raise RuntimeError

    labels = {"message": "known"}
    counted = registry.get_sample_value("jobs_total", {**labels, "outcome": outcome})
    timed = registry.get_sample_value("job_duration_seconds_count", labels)
    other = registry.get_sample_value("jobs_total", {**labels, "outcome": "skipped"})
    assert (counted, timed, other) == (1, 1, 0)


async def test_worker_exposes_its_metrics(settings: Settings) -> None:
    await store_message(settings)

    async with measured_worker(settings) as worker:
        done = 'jobs_total{message="outbox.purge",outcome="done"} 1.0'
        text = await worker.wait_for(done)

    assert "outbox_messages_failed 0.0" in text
    assert "database_pool_limit" in text
    assert "http_requests" not in text
