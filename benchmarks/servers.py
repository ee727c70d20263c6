"""PostgreSQL out of a service's development package, and SQL for the benchmarks.

A process of its own, run by the Python of the default service: executes the statements
that it reads as lines of JSON, until its standard input closes.
"""

import asyncio
import json
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

import asyncpg

FILL = """
INSERT INTO items ({columns}) SELECT {values}
FROM (SELECT * FROM items ORDER BY created_at LIMIT 1) AS item, generate_series(1, {count}) AS n
"""


async def execute(url: str, statement: str) -> list[list[str]]:
    """Execute a statement and return its rows as text."""
    connection = await asyncpg.connect(url)
    try:
        return [[str(value) for value in row] for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def fill(url: str, count: int) -> None:
    """Add older copies of the oldest item: one second apart, as many as given."""
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'items'"
    columns = [row[0] for row in await execute(url, query)]
    changed = {"id": "gen_random_uuid()", "created_at": "created_at - n * interval '1 second'"}
    values = ", ".join(changed.get(column, column) for column in columns)
    await execute(url, FILL.format(columns=", ".join(columns), values=values, count=count))
    await execute(url, "VACUUM ANALYZE items")


async def handle(url: str, request: dict[str, Any]) -> list[list[str]]:
    """Carry out one request."""
    if "fill" in request:
        await fill(url, request["fill"])
        return []
    return await execute(url, request["sql"])


def main(package: str) -> None:
    """Start the server, print the URL of its database, serve requests."""
    with import_module(f"{package}.postgres").throwaway_server() as server:
        print(json.dumps(server.url), flush=True)
        for line in sys.stdin:
            print(json.dumps(asyncio.run(handle(server.url, json.loads(line)))), flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(sys.argv[1])
