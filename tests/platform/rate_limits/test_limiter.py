"""Counting over a sliding window."""

from collections.abc import AsyncIterator
from time import monotonic

import anyio
import pytest

from order_service.core.rate_limits.limits import RateLimiter, RateLimitError
from order_service.settings import Settings

from ..stores import open_limiter


@pytest.fixture
async def limiter(settings: Settings) -> AsyncIterator[RateLimiter]:
    """Return a limiter that allows three in two seconds."""
    few = settings.model_copy(update={"rate_limit_default": "3/2 seconds"})
    async with open_limiter(few) as limiter:
        yield limiter


async def spend(limiter: RateLimiter, key: str = "client") -> int:
    """Count one request and return how many are left."""
    quota = await limiter.spend("default", key)
    assert quota is not None
    return quota.remaining


async def test_remaining_requests_count_down_to_a_refusal(limiter: RateLimiter) -> None:
    assert [await spend(limiter) for _ in range(3)] == [2, 1, 0]

    with pytest.raises(RateLimitError) as caught:
        await spend(limiter)

    quota = caught.value.quota
    assert (quota.name, quota.limit, quota.window_seconds) == ("default", 3, 2)
    assert quota.remaining == 0
    assert 1 <= quota.reset_seconds <= 2
    assert caught.value.retry_seconds == quota.reset_seconds


async def test_keys_are_counted_separately(limiter: RateLimiter) -> None:
    for _ in range(3):
        await spend(limiter)

    assert await spend(limiter, "another client") == 2


async def test_concurrent_requests_do_not_exceed_the_limit(limiter: RateLimiter) -> None:
    outcomes: list[str] = []

    async def try_to_spend() -> None:
        try:
            await spend(limiter)
        except RateLimitError:
            outcomes.append("refused")
        else:
            outcomes.append("passed")

    async with anyio.create_task_group() as group:
        for _ in range(30):
            group.start_soon(try_to_spend)

    assert outcomes.count("passed") == 3


async def test_retry_succeeds_at_the_reported_time_and_not_before(
    limiter: RateLimiter,
) -> None:
    started = monotonic()
    passed = 0
    # Longer than two windows: the older one has to be counted in as well.
    while monotonic() - started < 5:
        try:
            await spend(limiter)
            passed += 1
        except RateLimitError as error:
            with pytest.raises(RateLimitError):
                await spend(limiter)
            await anyio.sleep(error.retry_seconds)
            await spend(limiter)
            passed += 1

    # Three in any two seconds, with the counts of both windows weighed together.
    assert 3 < passed <= 3 + 3 * (monotonic() - started) / 2


async def test_refunded_request_is_not_counted(limiter: RateLimiter) -> None:
    for _ in range(10):
        assert await spend(limiter) == 2
        await limiter.give_back("default", "client")


async def test_reset_key_starts_from_zero(limiter: RateLimiter) -> None:
    for _ in range(3):
        await spend(limiter)

    await limiter.forget("default", "client")

    assert await spend(limiter) == 2
