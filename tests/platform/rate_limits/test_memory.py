"""Counts in memory: windows that follow each other, and a bounded number of clients."""

from itertools import count

import pytest

from order_service.core.rate_limits import memory
from order_service.core.rate_limits.limits import Demand, Limit
from order_service.core.rate_limits.memory import MemoryCounts

NEEDS = {"not redis"}

LIMIT = Limit("default", amount=10, window=60_000)
OTHER = Limit("exports", amount=2, window=60_000)


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        """Begin with a window of the limits."""
        self.seconds = 6_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Set the clock of the counts."""
    clock = Clock()
    monkeypatch.setattr(memory, "monotonic", clock)
    return clock


async def spend(counts: MemoryCounts, key: str = "client") -> int | None:
    """Count one, and return how many are used; ``None`` if it is refused."""
    is_counted, (after,) = await counts.spend([Demand(LIMIT, key)])
    return after.used(LIMIT) if is_counted else None


def clients_of(counts: MemoryCounts) -> int:
    """Return how many counts are kept, which nothing outside depends on."""
    return sum(map(len, counts._clients.values()))  # noqa: SLF001


async def test_last_window_counts_less_and_less(clock: Clock) -> None:
    counts = MemoryCounts()
    assert [await spend(counts) for _ in range(11)] == [*range(1, 11), None]

    clock.seconds += 60
    # Nine and a little more of the last window, rounded down, and this one.
    assert await spend(counts) == 10
    assert await spend(counts) is None
    clock.seconds += 15
    assert [await spend(counts) for _ in range(3)] == [9, 10, None]
    clock.seconds += 44
    assert await spend(counts) == 4
    clock.seconds += 1
    assert await spend(counts) == 4
    clock.seconds += 600
    assert [await spend(counts) for _ in range(11)] == [*range(1, 11), None]


async def test_demands_are_counted_together_or_not_at_all() -> None:
    counts = MemoryCounts()
    both = [Demand(LIMIT, "client"), Demand(OTHER, "client")]

    outcomes = [(await counts.spend(both))[0] for _ in range(5)]

    assert outcomes == [True, True, False, False, False]
    assert await spend(counts) == 3


async def test_window_begins_with_the_first_request(clock: Clock) -> None:
    counts = MemoryCounts()
    for _ in range(10):
        await spend(counts, "early")
    clock.seconds += 59
    for _ in range(10):
        await spend(counts, "late")

    clock.seconds += 1
    assert await spend(counts, "early") == 10
    assert await spend(counts, "late") is None


async def test_number_of_clients_is_bounded() -> None:
    counts = MemoryCounts(most_clients=100)
    names = count()
    for _ in range(3000):
        await spend(counts, f"client {next(names)}")

    assert clients_of(counts) == 100


async def test_clients_that_are_gone_are_not_kept(clock: Clock) -> None:
    counts = MemoryCounts()
    for number in range(50):
        await spend(counts, f"client {number}")
    clock.seconds += 120

    for number in range(25):
        await spend(counts, f"another client {number % 5}")

    assert clients_of(counts) == 5


async def test_client_counted_longest_ago_is_forgotten_first() -> None:
    counts = MemoryCounts(most_clients=3)
    for key in ("a", "b", "c", "a", "d"):
        await spend(counts, key)

    assert await spend(counts, "a") == 3
    assert await spend(counts, "b") == 1
