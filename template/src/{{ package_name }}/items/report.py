"""Totals of the items of each day."""

from contextlib import aclosing

import polars as pl
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from ..core.frames.batches import frames_of
from .models import Item

ROWS = pl.Schema({"created_at": pl.Datetime("us", "UTC"), "price_cents": pl.Int64()})
"""The columns to read."""

SUMS = {
    "items": pl.col("items").sum(),
    "total_cents": pl.col("total_cents").sum(),
    "lowest_cents": pl.col("lowest_cents").min(),
    "highest_cents": pl.col("highest_cents").max(),
}
"""How the totals of a day are combined from those of its batches."""


async def items_per_day(engine: AsyncEngine) -> pl.DataFrame:
    """Count the items of each day in UTC, and sum their prices.

    The database could do this, too; the function shows how to use Polars for what only
    Polars can do. It needs memory for the days and for one batch, not for all items.
    """
    statement = select(Item.created_at, Item.price_cents)
    totals = _by_day(ROWS.to_frame())
    async with aclosing(frames_of(engine, statement, ROWS)) as frames:
        async for frame in frames:
            both = pl.concat([totals, _by_day(frame)])
            totals = both.group_by("day").agg(**SUMS)
    return totals.sort("day")


def _by_day(items: pl.DataFrame) -> pl.DataFrame:
    return (
        items.with_columns(day=pl.col("created_at").dt.date())
        .group_by("day")
        .agg(
            items=pl.len().cast(pl.Int64),
            total_cents=pl.col("price_cents").sum(),
            lowest_cents=pl.col("price_cents").min(),
            highest_cents=pl.col("price_cents").max(),
        )
    )
