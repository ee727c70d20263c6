"""Registration and one's own account over HTTP."""

import anyio
import httpx2
import pytest

from ..people import PASSWORD, sign_in

USERS = "/api/v1/users"


async def test_registered_user_is_shown_without_the_password(
    anonymous: httpx2.AsyncClient,
) -> None:
    response = await anonymous.post(
        USERS,
        json={
            "email": "Ada@Example.com",
            "password": PASSWORD,
            "full_name": "Ada Lovelace",
        },
    )

    assert response.status_code == 201
    assert response.headers["Location"] == f"{USERS}/me"
    user = response.json()
    assert user["email"] == "ada@example.com"
    assert user["is_active"] is True
    assert set(user) == {
        "id",
        "email",
        "full_name",
        "role",
        "is_active",
        "created_at",
        "updated_at",
    }


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@example.com"])
async def test_registered_address_conflicts(
    client: httpx2.AsyncClient, anonymous: httpx2.AsyncClient, email: str
) -> None:
    response = await anonymous.post(
        USERS, json={"email": email, "password": PASSWORD, "full_name": "Ada"}
    )

    assert response.status_code == 409
    assert response.json()["code"] == "conflict"


async def test_of_many_at_once_one_registers(anonymous: httpx2.AsyncClient) -> None:
    statuses: list[int] = []

    async def try_to_register() -> None:
        response = await anonymous.post(
            USERS,
            json={"email": "a@example.com", "password": PASSWORD, "full_name": "A"},
        )
        statuses.append(response.status_code)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(try_to_register)

    assert sorted(statuses) == [201, 409, 409, 409, 409]


@pytest.mark.parametrize(
    "change",
    [
        {"email": "nobody"},
        {"email": "a\x00@example.com"},
        {"password": "too short"},
        {"password": "x" * 129},
        {"full_name": ""},
        {"is_active": True},
        {"role": "admin"},
    ],
)
async def test_impossible_registration_is_refused_without_an_echo(
    anonymous: httpx2.AsyncClient, change: dict[str, object]
) -> None:
    body = {"email": "ada@example.com", "password": PASSWORD, "full_name": "Ada"}

    response = await anonymous.post(USERS, json=body | change)

    assert response.status_code == 422
    for content in change.values():
        assert f'"{content}"' not in response.text


async def test_own_account_is_shown_and_changed(client: httpx2.AsyncClient) -> None:
    changed = await client.patch(f"{USERS}/me", json={"full_name": "Ada King"})

    assert changed.status_code == 200
    assert changed.json()["full_name"] == "Ada King"
    assert (await client.get(f"{USERS}/me")).json() == changed.json()


async def test_password_change_signs_out_everywhere(
    anonymous: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    elsewhere = await sign_in(anonymous, "ada@example.com")
    new_password = "another long and quiet river"

    response = await client.put(
        f"{USERS}/me/password",
        json={"current_password": PASSWORD, "new_password": new_password},
    )

    assert response.status_code == 204
    assert (await client.get(f"{USERS}/me")).status_code == 401
    assert (await anonymous.get(f"{USERS}/me")).status_code == 401
    refreshed = await anonymous.post(
        "/api/v1/auth/refresh", json={"refresh_token": elsewhere["refresh_token"]}
    )
    assert refreshed.status_code == 401
    await sign_in(client, "ada@example.com", new_password)
    assert (await client.get(f"{USERS}/me")).status_code == 200


async def test_wrong_current_password_changes_nothing(
    client: httpx2.AsyncClient,
) -> None:
    response = await client.put(
        f"{USERS}/me/password",
        json={"current_password": "not it", "new_password": "a fine new password"},
    )

    assert response.status_code == 403
    assert (await client.get(f"{USERS}/me")).status_code == 200
    await sign_in(client, "ada@example.com")


async def test_closed_account_cannot_be_used(
    anonymous: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    response = await client.delete(f"{USERS}/me")

    assert response.status_code == 204
    assert (await client.get(f"{USERS}/me")).status_code == 401
    again = await anonymous.post(
        "/api/v1/auth/token",
        data={"username": "ada@example.com", "password": PASSWORD},
    )
    assert again.status_code == 401
