"""Registration, the user's own account, and the list for admins."""

import anyio
import httpx2
import pytest

from .sign_in import PASSWORD, NewClient, sign_in
from .tables import Tables

USERS = "/api/v1/users"
ME = "/api/v1/users/me"

ADA = {"email": "ada@example.com", "password": PASSWORD, "full_name": "Ada Lovelace"}


async def test_registered_user_is_returned_without_the_password(
    anonymous: httpx2.AsyncClient, tables: Tables
) -> None:
    response = await anonymous.post(USERS, json=ADA | {"email": "Ada@Example.com"})

    assert response.status_code == 201
    assert response.headers["Location"] == ME
    user = response.json()
    assert (user["email"], user["role"]) == ("ada@example.com", "user")
    assert user["is_active"] is True
    assert PASSWORD not in str(await tables.run("SELECT * FROM users"))
    assert user.keys() == {
        *("id", "email", "full_name", "role", "is_active"),
        *("created_at", "updated_at"),
    }


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@example.com"])
async def test_registered_address_conflicts(
    client: httpx2.AsyncClient, email: str
) -> None:
    response = await client.post(USERS, json=ADA | {"email": email})

    assert response.status_code == 409
    assert response.json()["code"] == "conflict"


async def test_concurrent_registrations_create_one_user(
    anonymous: httpx2.AsyncClient,
) -> None:
    statuses: list[int] = []

    async def register() -> None:
        statuses.append((await anonymous.post(USERS, json=ADA)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(register)

    assert sorted(statuses) == [201, 409, 409]


@pytest.mark.parametrize(
    "change",
    [
        {"email": "nobody"},
        {"email": "a\x00@example.com"},
        {"password": "too short"},
        {"password": "x" * 129},
        {"full_name": ""},
        {"role": "admin"},
    ],
)
async def test_invalid_registration_is_refused_without_an_echo(
    anonymous: httpx2.AsyncClient, change: dict[str, object]
) -> None:
    response = await anonymous.post(USERS, json=ADA | change)

    assert response.status_code == 422
    for content in change.values():
        assert f'"{content}"' not in response.text


async def test_user_changes_the_own_account_but_not_the_role(
    client: httpx2.AsyncClient,
) -> None:
    changed = await client.patch(ME, json={"full_name": "Ada King"})
    refused = await client.patch(ME, json={"role": "admin"})

    assert (changed.status_code, refused.status_code) == (200, 422)
    assert (changed.json()["full_name"], changed.json()["role"]) == ("Ada King", "user")
    assert (await client.get(ME)).json() == changed.json()


async def test_changed_password_revokes_all_tokens(
    anonymous: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    elsewhere = await sign_in(anonymous, "ada@example.com")
    new_password = "another long and quiet river"
    body = {"current_password": PASSWORD, "new_password": new_password}

    response = await client.put(f"{ME}/password", json=body)

    assert response.status_code == 204
    assert (await client.get(ME)).status_code == 401
    assert (await anonymous.get(ME)).status_code == 401
    token = {"refresh_token": elsewhere["refresh_token"]}
    refreshed = await anonymous.post("/api/v1/auth/refresh", json=token)
    assert refreshed.status_code == 401
    await sign_in(client, "ada@example.com", new_password)
    assert (await client.get(ME)).status_code == 200


async def test_password_change_needs_the_current_password(
    client: httpx2.AsyncClient,
) -> None:
    body = {"current_password": "not it", "new_password": "a fine new password"}

    response = await client.put(f"{ME}/password", json=body)

    assert response.status_code == 403
    assert (await client.get(ME)).status_code == 200
    await sign_in(client, "ada@example.com")


async def test_closed_account_cannot_be_used(client: httpx2.AsyncClient) -> None:
    response = await client.delete(ME)

    assert response.status_code == 204
    assert (await client.get(ME)).status_code == 401
    form = {"username": "ada@example.com", "password": PASSWORD}
    assert (await client.post("/api/v1/auth/token", data=form)).status_code == 401


async def test_admin_lists_all_users_in_pages(
    client: httpx2.AsyncClient, new_client: NewClient, tables: Tables
) -> None:
    for name in ("b", "c"):
        await new_client(f"{name}@example.com")
    await tables.make_admin("ada@example.com")

    first = await client.get(USERS, params={"limit": 2})
    cursor = first.json()["next_cursor"]
    second = await client.get(USERS, params={"limit": 2, "cursor": cursor})

    seen = [user["email"] for page in (first, second) for user in page.json()["items"]]
    assert seen == ["c@example.com", "b@example.com", "ada@example.com"]
    assert second.json()["next_cursor"] is None
    assert "password" not in first.text


async def test_other_users_cannot_list_users(client: httpx2.AsyncClient) -> None:
    response = await client.get(USERS)

    assert response.status_code == 403
    assert response.json()["code"] == "forbidden"


async def test_revoked_role_counts_from_the_next_request(
    client: httpx2.AsyncClient, tables: Tables
) -> None:
    await tables.make_admin("ada@example.com")
    assert (await client.get(USERS)).status_code == 200

    await tables.run("UPDATE users SET role = 'user'")

    assert (await client.get(USERS)).status_code == 403
