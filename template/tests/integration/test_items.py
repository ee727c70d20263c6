"""Items over HTTP."""

from collections.abc import Mapping
from uuid import uuid4

import httpx2
import pytest

ITEMS = "/api/v1/items"


async def create(client: httpx2.AsyncClient, **fields: object) -> Mapping[str, object]:
    """Add an item and return what the service says of it."""
    response = await client.post(ITEMS, json={"name": "Lamp", **fields})
    assert response.status_code == 201
    created: Mapping[str, object] = response.json()
    return created


async def test_created_item_is_read_back(client: httpx2.AsyncClient) -> None:
    created = await create(
        client, name="Lamp", description="Warm light.", price_cents=4900
    )

    response = await client.get(f"{ITEMS}/{created['id']}")

    assert response.status_code == 200
    assert response.json() == created
    assert created["name"] == "Lamp"
    assert created["description"] == "Warm light."
    assert created["price_cents"] == 4900
    assert str(created["created_at"]).endswith("Z")


async def test_replacing_resets_what_is_left_out(client: httpx2.AsyncClient) -> None:
    created = await create(client, description="Warm light.", price_cents=4900)

    response = await client.put(f"{ITEMS}/{created['id']}", json={"name": "Desk"})

    assert response.status_code == 200
    replaced = response.json()
    assert (replaced["name"], replaced["description"]) == ("Desk", "")
    assert replaced["price_cents"] == 0
    assert replaced["created_at"] == created["created_at"]
    assert replaced["updated_at"] > created["updated_at"]


async def test_patching_keeps_what_is_left_out(client: httpx2.AsyncClient) -> None:
    created = await create(client, description="Warm light.", price_cents=4900)

    response = await client.patch(f"{ITEMS}/{created['id']}", json={"price_cents": 1})

    assert response.status_code == 200
    patched = response.json()
    assert (patched["name"], patched["price_cents"]) == ("Lamp", 1)
    assert patched["description"] == "Warm light."


async def test_deleted_item_is_gone(client: httpx2.AsyncClient) -> None:
    created = await create(client)

    deleted = await client.delete(f"{ITEMS}/{created['id']}")
    response = await client.get(f"{ITEMS}/{created['id']}")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert response.status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_unknown_item_is_not_found(
    client: httpx2.AsyncClient, method: str
) -> None:
    body = {"name": "Lamp"} if method in {"PUT", "PATCH"} else None

    response = await client.request(method, f"{ITEMS}/{uuid4()}", json=body)

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


async def test_pages_show_every_item_once_and_the_newest_first(
    client: httpx2.AsyncClient,
) -> None:
    names = [f"Item {number}" for number in range(5)]
    for name in names:
        await create(client, name=name)

    seen: list[str] = []
    sizes: list[int] = []
    query = {"limit": "2"}
    while True:
        page = (await client.get(ITEMS, params=query)).json()
        assert page["limit"] == 2
        sizes.append(len(page["items"]))
        seen += [item["name"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        # What arrives in between belongs before the first page, not into a later one.
        await create(client, name="Arrived in between")
        query["cursor"] = page["next_cursor"]

    assert seen == names[::-1]
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "many"])
async def test_impossible_limit_is_refused(
    client: httpx2.AsyncClient, limit: str
) -> None:
    response = await client.get(ITEMS, params={"limit": limit})

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == "query.limit"


@pytest.mark.parametrize("cursor", ["", "x", "bnVsbA", "WzEsMl0", "é", "a" * 200])
async def test_invented_cursor_is_refused(
    client: httpx2.AsyncClient, cursor: str
) -> None:
    response = await client.get(ITEMS, params={"cursor": cursor})

    assert response.status_code == 400
    assert response.json()["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({}, "body.name"),
        ({"name": ""}, "body.name"),
        ({"name": "   "}, "body.name"),
        ({"name": "x" * 121}, "body.name"),
        ({"name": "a\x00b"}, "body.name"),
        ({"name": "Lamp", "colour": "red"}, "body.colour"),
        ({"name": "Lamp", "price_cents": -1}, "body.price_cents"),
        ({"name": "Lamp", "price_cents": 2**31}, "body.price_cents"),
        ({"name": "Lamp", "price_cents": 1.5}, "body.price_cents"),
        ({"name": "Lamp", "price_cents": False}, "body.price_cents"),
        ({"name": "Lamp", "price_cents": "1"}, "body.price_cents"),
    ],
)
async def test_impossible_item_is_refused(
    client: httpx2.AsyncClient, body: dict[str, object], location: str
) -> None:
    response = await client.post(ITEMS, json=body)

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == [location]
    assert (await client.get(ITEMS)).json()["items"] == []


async def test_null_is_not_a_change(client: httpx2.AsyncClient) -> None:
    created = await create(client)

    response = await client.patch(f"{ITEMS}/{created['id']}", json={"name": None})

    assert response.status_code == 422
    assert (await client.get(f"{ITEMS}/{created['id']}")).json() == created
