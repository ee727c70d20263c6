"""Optimistic locking over HTTP: no concurrent change is lost."""

from collections import Counter
from uuid import uuid4

import anyio
import httpx2
import pytest

from ..feature import TRIALS

CHANGES = ["PUT", "PATCH", "DELETE"]
WRITERS = 20


@pytest.fixture
def client(shared_client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """Share one service among the tests: each has a caller of its own."""
    return shared_client


@pytest.fixture
async def trial(client: httpx2.AsyncClient) -> str:
    """Create a trial and return its path."""
    response = await client.post(TRIALS, json={"name": "Lamp"})
    location: str = response.headers["Location"]
    return location


async def change(
    client: httpx2.AsyncClient, method: str, trial: str, **headers: str
) -> httpx2.Response:
    """Change or delete a trial with conditional headers."""
    names = {name.replace("_", "-"): content for name, content in headers.items()}
    body = None if method == "DELETE" else {"name": "Desk"}
    return await client.request(method, trial, json=body, headers=names)


async def version(client: httpx2.AsyncClient, trial: str) -> str:
    """Return the current entity tag of a trial."""
    response = await client.get(trial)
    assert response.status_code == 200
    tag: str = response.headers["ETag"]
    return tag


async def test_every_change_is_a_new_version(client: httpx2.AsyncClient, trial: str) -> None:
    tags = [
        (await change(client, method, trial)).headers["ETag"]
        # The second one changes no content but is a new version: of two concurrent
        # writers with the same content, too, only one may win.
        for method in ["PATCH", "PUT", "PATCH"]
    ]

    assert tags == ['"2"', '"3"', '"4"']
    assert await version(client, trial) == '"4"'


async def test_list_includes_versions(client: httpx2.AsyncClient, trial: str) -> None:
    await change(client, "PATCH", trial)
    (listed,) = (await client.get(TRIALS)).json()["items"]

    response = await change(client, "PUT", trial, If_Match=f'"{listed["version"]}"')

    assert listed["version"] == 2
    assert response.status_code == 200
    assert response.json()["version"] == 3


@pytest.mark.parametrize("method", CHANGES)
@pytest.mark.parametrize("condition", ['"1"', '"7", "1"', "*"])
async def test_change_of_the_expected_version_succeeds(
    client: httpx2.AsyncClient, trial: str, method: str, condition: str
) -> None:
    response = await change(client, method, trial, If_Match=condition)

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
async def test_change_of_another_version_is_refused(
    client: httpx2.AsyncClient, trial: str, method: str, headers: dict[str, str]
) -> None:
    await client.patch(trial, json={"amount": 1})

    response = await change(client, method, trial, **headers)

    assert response.status_code == 412
    assert response.json()["code"] == "precondition_failed"
    assert (await client.get(trial)).json()["name"] == "Lamp"
    assert await version(client, trial) == '"2"'


@pytest.mark.parametrize("method", [*CHANGES, "GET"])
async def test_invalid_condition_is_refused(
    client: httpx2.AsyncClient, trial: str, method: str
) -> None:
    response = await change(client, method, trial, If_None_Match="1")

    assert response.status_code == 400
    assert await version(client, trial) == '"1"'


@pytest.mark.parametrize("method", CHANGES)
async def test_missing_trial_is_404_whatever_the_condition(
    client: httpx2.AsyncClient, method: str
) -> None:
    response = await change(client, method, f"{TRIALS}/{uuid4()}", If_Match='"1"')

    assert response.status_code == 404


async def race(client: httpx2.AsyncClient, method: str, trial: str, **headers: str) -> Counter[int]:
    """Send the same change concurrently, and count the statuses."""
    statuses: Counter[int] = Counter()

    async def write() -> None:
        statuses[(await change(client, method, trial, **headers)).status_code] += 1

    async with anyio.create_task_group() as group:
        for _ in range(WRITERS):
            group.start_soon(write)
    return statuses


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_one_of_concurrent_writers_wins(
    client: httpx2.AsyncClient, trial: str, method: str
) -> None:
    statuses = await race(client, method, trial, If_Match='"1"')

    assert statuses == {200: 1, 412: WRITERS - 1}
    assert await version(client, trial) == '"2"'


async def test_one_of_concurrent_deletions_wins(client: httpx2.AsyncClient, trial: str) -> None:
    statuses = await race(client, "DELETE", trial, If_Match='"1"')

    assert statuses[204] == 1
    assert set(statuses) <= {204, 404, 412}


async def test_concurrent_changes_without_a_condition_are_not_lost(
    client: httpx2.AsyncClient, trial: str
) -> None:
    statuses = await race(client, "PATCH", trial)

    assert set(statuses) <= {200, 409}
    assert await version(client, trial) == f'"{1 + statuses[200]}"'
