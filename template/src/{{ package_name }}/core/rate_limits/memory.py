"""Counts of one process, in its memory."""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from itertools import islice
from time import monotonic
from typing import NamedTuple

from .limits import Count, Demand

MOST_CLIENTS = 100_000
"""How many clients each limit counts; they take some 30 MB."""


class Windows(NamedTuple):
    """The counts of one client in its window and in the one before."""

    start: int
    current: int
    previous: int


class MemoryCounts:
    """Counts requests at the same cost for one client as for a million.

    Nothing sweeps all clients: each count removes at most two whose windows are over.
    Beyond ``most_clients``, a further one replaces the client that was counted longest
    ago, whose count then starts from zero.
    """

    def __init__(self, most_clients: int = MOST_CLIENTS) -> None:
        self._most_clients = most_clients
        # By limit and client, those counted longest ago first.
        self._clients: defaultdict[str, OrderedDict[str, Windows]] = defaultdict(
            OrderedDict
        )

    async def spend(self, demands: Sequence[Demand]) -> tuple[bool, list[Count]]:
        """Count one for every demand, or for none; nothing runs in between."""
        now = int(monotonic() * 1000)
        counts = [self._read(demand, now) for demand in demands]
        is_counted = all(
            count.used(demand.limit) < demand.limit.amount
            for demand, count in zip(demands, counts, strict=True)
        )
        if is_counted:
            counts = [count._replace(current=count.current + 1) for count in counts]
            for demand, count in zip(demands, counts, strict=True):
                self._write(demand, count, now)
        return is_counted, counts

    async def undo(self, spent: Sequence[Demand], forgotten: Sequence[Demand]) -> None:
        """Take back one count of each spent demand, and all counts of each forgotten."""
        for limit, key in spent:
            clients = self._clients[limit.name]
            if kept := clients.get(key):
                current = max(0, kept.current - 1)
                clients[key] = kept._replace(current=current)
        for limit, key in forgotten:
            self._clients[limit.name].pop(key, None)

    def _read(self, demand: Demand, now: int) -> Count:
        limit, key = demand
        kept = self._clients[limit.name].get(key)
        age = now - kept.start if kept else 0
        if not kept or age >= 2 * limit.window:
            return Count(0, 0, 0)
        if age >= limit.window:
            return Count(0, kept.current, age - limit.window)
        return Count(kept.current, kept.previous, age)

    def _write(self, demand: Demand, count: Count, now: int) -> None:
        limit, key = demand
        clients = self._clients[limit.name]
        # Removed first, so that it becomes the newest.
        clients.pop(key, None)
        clients[key] = Windows(now - count.elapsed, count.current, count.previous)
        for oldest in list(islice(clients, 2)):
            is_over = now - clients[oldest].start >= 2 * limit.window
            if is_over or len(clients) > self._most_clients:
                del clients[oldest]
