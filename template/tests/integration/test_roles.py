"""What admins may do, and nobody else."""

import httpx2
import pytest
from sqlalchemy.exc import IntegrityError

from ..people import NewClient
from ..tables import Tables

USERS = "/api/v1/users"


async def test_admin_reads_all_users_page_by_page(
    client: httpx2.AsyncClient, new_client: NewClient, tables: Tables
) -> None:
    for name in ("b", "c", "d", "e"):
        await new_client(f"{name}@example.com")
    await tables.make_admin("ada@example.com")

    seen: list[str] = []
    query: dict[str, str | int] = {"limit": 2}
    for _ in range(3):
        response = await client.get(USERS, params=query)
        assert response.status_code == 200
        page = response.json()
        seen += [user["email"] for user in page["items"]]
        query["cursor"] = page["next_cursor"]

    assert page["next_cursor"] is None
    assert seen == [f"{name}@example.com" for name in ("e", "d", "c", "b", "ada")]
    assert "password" not in response.text


async def test_others_are_refused_in_the_one_shape(client: httpx2.AsyncClient) -> None:
    response = await client.get(USERS)

    assert response.status_code == 403
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "forbidden"


async def test_nobody_is_asked_to_sign_in(anonymous: httpx2.AsyncClient) -> None:
    assert (await anonymous.get(USERS)).status_code == 401


async def test_role_is_read_anew_for_every_request(
    client: httpx2.AsyncClient, tables: Tables
) -> None:
    await tables.make_admin("ada@example.com")
    assert (await client.get(USERS)).status_code == 200

    await tables.run("UPDATE users SET role = 'user'")

    assert (await client.get(USERS)).status_code == 403


async def test_nobody_makes_themselves_an_admin(client: httpx2.AsyncClient) -> None:
    response = await client.patch(f"{USERS}/me", json={"role": "admin"})

    assert response.status_code == 422
    assert (await client.get(f"{USERS}/me")).json()["role"] == "user"


async def test_database_refuses_a_role_that_there_is_not(
    client: httpx2.AsyncClient, tables: Tables
) -> None:
    with pytest.raises(IntegrityError):
        await tables.run("UPDATE users SET role = 'root'")

    assert (await client.get(USERS)).status_code == 403
