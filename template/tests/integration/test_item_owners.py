"""Items belong to whoever made them."""

import httpx2
import pytest

from ..people import NewClient

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
