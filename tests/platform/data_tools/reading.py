"""Reads trials as frames; run as a script, it prints the sum of amounts and its peak of memory.

It imports little, because what it imports is part of the peak.
"""

import resource
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import polars as pl
from sqlalchemy import Integer, Select, Uuid, cast, column, null, select, table

from order_service.core.database.session import open_engine
from order_service.core.frames.batches import frames_of
from order_service.settings import Settings

SCHEMA = pl.Schema({"id": pl.String(), "amount": pl.Int64(), "gap": pl.String()})


def trials(limit: int) -> Select[*tuple[Any, ...]]:
    """Select ids and amounts of trials, and a column of ids that are all NULL."""
    gap = cast(null(), Uuid()).label("gap")
    columns = [column("id", Uuid()), column("amount", Integer()), gap]
    return select(*columns).select_from(table("trials")).limit(limit)


async def sum_of_amounts(settings: Settings, limit: int) -> int:
    """Sum up amounts, one batch at a time."""
    total = 0
    async with (
        open_engine(settings) as engine,
        aclosing(frames_of(engine, trials(limit), SCHEMA)) as frames,
    ):
        async for frame in frames:
            total += int(frame["amount"].sum())
    return total


def peak_of_memory() -> int:
    """Return the largest memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0])
    # This also counts the memory that the parent process had at the start.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(anyio.run(sum_of_amounts, Settings.load(), int(sys.argv[1])), peak_of_memory())
