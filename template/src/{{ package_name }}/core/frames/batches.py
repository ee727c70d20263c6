"""Rows of the database as Polars frames, a batch at a time.

Importing Polars takes a while and some memory, so what serves requests does not
import this module; a command does, once it is run.
"""

from collections.abc import AsyncGenerator, Iterable
from typing import Any

import polars as pl
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncEngine

BATCH_ROWS = 10_000
"""How many rows are in memory at a time."""


async def frames_of(
    engine: AsyncEngine, statement: Select[*tuple[Any, ...]], schema: pl.Schema
) -> AsyncGenerator[pl.DataFrame]:
    """Give the rows of a query, in frames that fit into memory, however many there are.

    The database keeps the rest: the rows come through a cursor on its side, and from
    one moment, even if others write meanwhile.

    Args:
        engine: The database.
        statement: What to select.
        schema: The columns' types, in the order of the statement; UUIDs are text.
    """
    in_batches = statement.execution_options(yield_per=BATCH_ROWS)
    async with engine.connect() as connection:
        result = await connection.stream(in_batches)
        async for rows in result.partitions():
            columns = zip(schema.items(), zip(*rows, strict=True), strict=True)
            content = {
                name: _texts(column) if kind == pl.String() else column
                for (name, kind), column in columns
            }
            yield pl.DataFrame(content, schema=schema)


def _texts(column: Iterable[object]) -> list[str | None]:
    return [None if value is None else str(value) for value in column]
