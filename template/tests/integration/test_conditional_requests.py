"""Versions over HTTP: nothing is sent twice for nothing, and no change is lost."""

from collections import Counter
from uuid import uuid4

import anyio
import httpx2
import pytest

ITEMS = "/api/v1/items"
CHANGES = ["PUT", "PATCH", "DELETE"]
WRITERS = 20


@pytest.fixture
async def item(client: httpx2.AsyncClient) -> str:
    """Give the path of an item in its first version."""
    response = await client.post(ITEMS, json={"name": "Lamp"})
    location: str = response.headers["Location"]
    return location


async def change(
    client: httpx2.AsyncClient, method: str, item: str, **headers: str
) -> httpx2.Response:
    """Change an item, or remove it, on a condition."""
    names = {name.replace("_", "-"): content for name, content in headers.items()}
    body = None if method == "DELETE" else {"name": "Desk"}
    return await client.request(method, item, json=body, headers=names)


async def version(client: httpx2.AsyncClient, item: str) -> str:
    """Ask for the tag of an item's present version."""
    response = await client.get(item)
    assert response.status_code == 200
    tag: str = response.headers["ETag"]
    return tag


async def test_created_item_is_where_the_answer_says(
    client: httpx2.AsyncClient,
) -> None:
    created = await client.post(ITEMS, json={"name": "Lamp"})

    response = await client.get(created.headers["Location"])

    assert created.headers["Location"] == f"{ITEMS}/{created.json()['id']}"
    assert response.json() == created.json()
    assert response.headers["ETag"] == created.headers["ETag"] == '"1"'


async def test_every_change_makes_a_version(
    client: httpx2.AsyncClient, item: str
) -> None:
    tags = [
        (await change(client, method, item)).headers["ETag"]
        # The second one changes nothing but is a version of its own: of two racing
        # writers with the same content, too, only one may win.
        for method in ["PATCH", "PUT", "PATCH"]
    ]

    assert tags == ['"2"', '"3"', '"4"']
    assert await version(client, item) == '"4"'


async def test_list_shows_the_versions_too(
    client: httpx2.AsyncClient, item: str
) -> None:
    await change(client, "PATCH", item)
    (listed,) = (await client.get(ITEMS)).json()["items"]

    response = await change(client, "PUT", item, If_Match=f'"{listed["version"]}"')

    assert listed["version"] == 2
    assert response.status_code == 200
    assert response.json()["version"] == 3


async def test_item_is_kept_by_nobody_but_its_reader(
    client: httpx2.AsyncClient, item: str
) -> None:
    response = await client.get(item)

    assert response.headers["Cache-Control"] == "private, no-cache"
    assert "Authorization" in response.headers["Vary"]


@pytest.mark.parametrize("condition", ['"1"', 'W/"1"', '"7", W/"1"', "*"])
async def test_copy_that_still_holds_is_not_sent_again(
    client: httpx2.AsyncClient, item: str, condition: str
) -> None:
    response = await client.get(item, headers={"If-None-Match": condition})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["ETag"] == '"1"'
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert "Authorization" in response.headers["Vary"]
    assert "Content-Type" not in response.headers


@pytest.mark.parametrize("condition", ['"1"', 'W/"1"', '"3"', '"x"'])
async def test_copy_of_another_version_is_replaced(
    client: httpx2.AsyncClient, item: str, condition: str
) -> None:
    await change(client, "PATCH", item)

    response = await client.get(item, headers={"If-None-Match": condition})

    assert response.status_code == 200
    assert response.json()["name"] == "Desk"
    assert response.headers["ETag"] == '"2"'


@pytest.mark.parametrize("method", CHANGES)
@pytest.mark.parametrize("condition", ['"1"', '"7", "1"', "*"])
async def test_change_of_what_was_read_is_made(
    client: httpx2.AsyncClient, item: str, method: str, condition: str
) -> None:
    response = await change(client, method, item, If_Match=condition)

    assert response.status_code in {200, 204}


@pytest.mark.parametrize("method", CHANGES)
@pytest.mark.parametrize(
    "headers",
    [
        {"If_Match": '"1"'},
        {"If_Match": 'W/"2"'},
        {"If_Match": '"3", "x"'},
        {"If_None_Match": "*"},
        {"If_None_Match": 'W/"2"'},
        {"If_Match": '"2"', "If_None_Match": '"2"'},
    ],
)
async def test_change_of_something_else_is_refused(
    client: httpx2.AsyncClient, item: str, method: str, headers: dict[str, str]
) -> None:
    await client.patch(item, json={"price_cents": 1})

    response = await change(client, method, item, **headers)

    assert response.status_code == 412
    assert response.json()["code"] == "precondition_failed"
    assert (await client.get(item)).json()["name"] == "Lamp"
    assert await version(client, item) == '"2"'


@pytest.mark.parametrize("method", [*CHANGES, "GET"])
async def test_unreadable_condition_is_not_ignored(
    client: httpx2.AsyncClient, item: str, method: str
) -> None:
    response = await change(client, method, item, If_None_Match="1")

    assert response.status_code == 400
    assert await version(client, item) == '"1"'


@pytest.mark.parametrize("method", CHANGES)
async def test_condition_does_not_hide_that_there_is_no_such_item(
    client: httpx2.AsyncClient, method: str
) -> None:
    response = await change(client, method, f"{ITEMS}/{uuid4()}", If_Match='"1"')

    assert response.status_code == 404


async def race(
    client: httpx2.AsyncClient, method: str, item: str, **headers: str
) -> Counter[int]:
    """Let many make the same change at once, and count how they were answered."""
    statuses: Counter[int] = Counter()

    async def write() -> None:
        statuses[(await change(client, method, item, **headers)).status_code] += 1

    async with anyio.create_task_group() as group:
        for _ in range(WRITERS):
            group.start_soon(write)
    return statuses


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_of_many_writers_of_one_version_one_wins(
    client: httpx2.AsyncClient, item: str, method: str
) -> None:
    statuses = await race(client, method, item, If_Match='"1"')

    assert statuses == {200: 1, 412: WRITERS - 1}
    assert await version(client, item) == '"2"'


async def test_of_many_that_remove_one_version_one_does(
    client: httpx2.AsyncClient, item: str
) -> None:
    statuses = await race(client, "DELETE", item, If_Match='"1"')

    assert statuses[204] == 1
    assert set(statuses) <= {204, 404, 412}


async def test_without_a_condition_no_change_is_lost_either(
    client: httpx2.AsyncClient, item: str
) -> None:
    statuses = await race(client, "PATCH", item)

    assert set(statuses) <= {200, 409}
    assert await version(client, item) == f'"{1 + statuses[200]}"'


@pytest.mark.parametrize("path", [ITEMS, "/api/v1/nowhere", f"{ITEMS}/x"])
async def test_whatever_does_not_say_otherwise_is_not_stored(
    client: httpx2.AsyncClient, path: str
) -> None:
    response = await client.get(path)

    assert response.headers["Cache-Control"] == "no-store"


async def test_outside_of_the_api_nothing_is_said(client: httpx2.AsyncClient) -> None:
    response = await client.get("/openapi.json")

    assert "Cache-Control" not in response.headers


async def test_pages_of_other_origins_may_send_and_read_versions(
    client: httpx2.AsyncClient, item: str
) -> None:
    origin = {"Origin": "https://app.example.com"}
    asked = {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "If-Match, If-None-Match",
    }

    allowed = await client.options(item, headers=origin | asked)
    response = await client.get(item, headers=origin)

    assert allowed.status_code == 200
    exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"ETag", "Location"} <= set(exposed)
    assert response.headers["Vary"] == "Authorization, Origin"
