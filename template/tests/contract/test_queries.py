"""The number of queries does not grow with the number of rows."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest
from sqlalchemy import Engine, event

ITEMS = "/api/v1/items"


@contextmanager
def counted_queries() -> Iterator[list[str]]:
    """Collect every statement that is sent to the database."""
    statements: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def queries_for_list(client: httpx2.AsyncClient) -> int:
    """Count what listing items costs."""
    with counted_queries() as statements:
        response = await client.get(ITEMS, params={"limit": 100})
    assert response.status_code == 200
    return len(statements)


async def test_list_of_many_costs_as_much_as_a_list_of_one(
    client: httpx2.AsyncClient,
) -> None:
    await client.post(ITEMS, json={"name": "Lamp"})
    for_one = await queries_for_list(client)
    for _ in range(9):
        await client.post(ITEMS, json={"name": "Lamp"})

    assert await queries_for_list(client) == for_one


@pytest.mark.parametrize("limit", [1, 100])
async def test_list_is_read_with_one_query_besides_the_caller(
    client: httpx2.AsyncClient, limit: int
) -> None:
    await client.post(ITEMS, json={"name": "Lamp"})

    with counted_queries() as statements:
        await client.get(ITEMS, params={"limit": limit})

    on_items = [statement for statement in statements if "FROM items" in statement]
    assert len(on_items) == 1
