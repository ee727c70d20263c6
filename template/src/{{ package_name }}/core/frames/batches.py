"""Query results as Polars frames, one batch at a time.

Importing Polars takes time and memory, so only commands import this module, when they
run, and never the process that serves requests.
"""

from collections.abc import AsyncGenerator, Iterable
from typing import Any

import polars as pl
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncEngine

BATCH_ROWS = 10_000
"""The number of rows per batch in memory."""


async def frames_of(
    engine: AsyncEngine, statement: Select[*tuple[Any, ...]], schema: pl.Schema
) -> AsyncGenerator[pl.DataFrame]:
    """Yield the rows of a query as frames, with one batch in memory at a time.

    The rows come through a server-side cursor from one snapshot, even if other
    transactions write meanwhile.

    Args:
        engine: The database.
        statement: The query.
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
