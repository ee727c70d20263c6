"""Items belong to whoever made them."""

import httpx2
import pytest

from ..people import NewClient
from ..tables import Tables

ITEMS = "/api/v1/items"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_item_of_somebody_else_is_not_found(
    client: httpx2.AsyncClient, new_client: NewClient, method: str
) -> None:
    created = (await client.post(ITEMS, json={"name": "Lamp"})).json()
    stranger = await new_client("eve@example.com")
    body = {"name": "Mine"} if method in {"PUT", "PATCH"} else None

    response = await stranger.request(method, f"{ITEMS}/{created['id']}", json=body)

    assert response.status_code == 404
    assert (await client.get(f"{ITEMS}/{created['id']}")).json() == created


async def test_list_shows_only_ones_own_items(
    client: httpx2.AsyncClient, new_client: NewClient
) -> None:
    await client.post(ITEMS, json={"name": "Lamp"})
    stranger = await new_client("eve@example.com")

    response = await stranger.get(ITEMS)

    assert response.json()["items"] == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nobody_reaches_items_without_a_token(
    anonymous: httpx2.AsyncClient, method: str
) -> None:
    response = await anonymous.request(method, ITEMS, json={"name": "Lamp"})

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_condition_tells_nothing_of_somebody_elses_item(
    client: httpx2.AsyncClient, new_client: NewClient, method: str, header: str
) -> None:
    created = await client.post(ITEMS, json={"name": "Lamp"})
    stranger = await new_client("eve@example.com")
    body = {"name": "Mine"} if method in {"PUT", "PATCH"} else None

    for tag in ('"1"', '"2"', "*"):
        response = await stranger.request(
            method, created.headers["Location"], json=body, headers={header: tag}
        )
        assert response.status_code == 404


async def test_same_key_of_somebody_else_is_another_key(
    client: httpx2.AsyncClient, new_client: NewClient
) -> None:
    stranger = await new_client("eve@example.com")
    body, key = {"name": "Lamp"}, {"Idempotency-Key": "order-42"}

    mine = await client.post(ITEMS, json=body, headers=key)
    theirs = await stranger.post(ITEMS, json=body, headers=key)

    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


async def test_items_of_others_are_not_found_for_admins_either(
    client: httpx2.AsyncClient, new_client: NewClient, tables: Tables
) -> None:
    created = (await client.post(ITEMS, json={"name": "Lamp"})).json()
    admin = await new_client("admin@example.com")
    await tables.make_admin("admin@example.com")

    assert (await admin.get(f"{ITEMS}/{created['id']}")).status_code == 404


async def test_machine_reaches_the_items_of_the_owner_of_its_key(
    client: httpx2.AsyncClient, anonymous: httpx2.AsyncClient, new_client: NewClient
) -> None:
    body = {"name": "Import", "scopes": ["items:read", "items:write"]}
    stranger = await new_client("eve@example.com")
    own, theirs = [
        {"X-API-Key": (await who.post("/api/v1/api-keys", json=body)).json()["key"]}
        for who in (client, stranger)
    ]

    created = await anonymous.post(ITEMS, json={"name": "Lamp"}, headers=own)

    assert created.status_code == 201
    item = f"{ITEMS}/{created.json()['id']}"
    assert (await client.get(item)).json() == created.json()
    assert (await anonymous.get(item, headers=own)).json() == created.json()
    assert (await anonymous.get(item, headers=theirs)).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_key_that_only_reads_changes_no_item(
    client: httpx2.AsyncClient, anonymous: httpx2.AsyncClient, method: str
) -> None:
    key = (await client.post("/api/v1/api-keys", json={"name": "Import"})).json()
    created = (await client.post(ITEMS, json={"name": "Lamp"})).json()
    path = ITEMS if method == "POST" else f"{ITEMS}/{created['id']}"
    body = None if method == "DELETE" else {"name": "Changed"}

    response = await anonymous.request(
        method, path, json=body, headers={"X-API-Key": key["key"]}
    )

    assert response.status_code == 403
    assert (await client.get(ITEMS)).json()["items"] == [created]
