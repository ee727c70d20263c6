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
    """Return a limiter that allows three in two seconds, and two exports in an hour."""
    rates = {"rate_limit_default": "3/2 seconds", "rate_limit_exports": "2/hour"}
    async with open_limiter(settings.model_copy(update=rates)) as limiter:
        yield limiter


async def spend(limiter: RateLimiter, key: str = "client") -> int:
    """Count one request and return how many are left."""
    (quota,) = await limiter.spend({"default": key})
    return quota.remaining


async def test_remaining_requests_count_down_to_a_refusal(limiter: RateLimiter) -> None:
    assert [await spend(limiter) for _ in range(3)] == [2, 1, 0]

    with pytest.raises(RateLimitError) as caught:
        await spend(limiter)

    (quota,) = caught.value.quotas
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
        await limiter.undo({"default": "client"})


async def test_reset_key_starts_from_zero(limiter: RateLimiter) -> None:
    for _ in range(3):
        await spend(limiter)

    await limiter.undo({}, forget={"default": "client"})

    assert await spend(limiter) == 2


async def test_limits_are_counted_together_or_not_at_all(limiter: RateLimiter) -> None:
    both = {"default": "client", "exports": "client"}
    for left in (1, 0):
        assert (await limiter.spend(both))[1].remaining == left

    for _ in range(3):
        with pytest.raises(RateLimitError) as caught:
            await limiter.spend(both)

    assert caught.value.names == ["exports"]
    assert caught.value.retry_seconds > 2
    assert await spend(limiter, "client") in {0, 1, 2}
    (quota,) = await limiter.spend({"exports": "another client"})
    assert quota.remaining == 1


async def test_what_was_spent_together_is_undone_together(limiter: RateLimiter) -> None:
    both = {"default": "client", "exports": "client"}
    for _ in range(5):
        await limiter.spend(both)
        await limiter.undo(both)
    await limiter.spend(both)

    await limiter.undo({"default": "client"}, forget={"exports": "client"})

    assert [quota.remaining for quota in await limiter.spend(both)] == [2, 1]
