"""Signing in, staying signed in and signing out over HTTP."""

from statistics import median
from time import perf_counter

import anyio
import httpx2
import pytest

from ..people import PASSWORD, NewClient, sign_in

TOKEN = "/api/v1/auth/token"
REFRESH = "/api/v1/auth/refresh"
LOGOUT = "/api/v1/auth/logout"
ME = "/api/v1/users/me"


async def refresh(client: httpx2.AsyncClient, refresh_token: str) -> httpx2.Response:
    """Trade a refresh token."""
    return await client.post(REFRESH, json={"refresh_token": refresh_token})


async def test_pair_is_given_out_and_never_cached(
    client: httpx2.AsyncClient,
) -> None:
    response = await client.post(
        TOKEN, data={"username": "Ada@Example.com", "password": PASSWORD}
    )

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json()["token_type"] == "bearer"
    assert response.json()["expires_in"] == 15 * 60


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ada@example.com", "not the password"),
        ("nobody@example.com", PASSWORD),
        ("closed@example.com", PASSWORD),
    ],
)
async def test_refusals_cannot_be_told_apart(
    client: httpx2.AsyncClient, new_client: NewClient, email: str, password: str
) -> None:
    closed = await new_client("closed@example.com")
    await closed.delete(ME)

    response = await client.post(TOKEN, data={"username": email, "password": password})

    assert response.status_code == 401
    problem = response.json()
    assert problem["code"] == "not_authenticated"
    assert problem["detail"] == "The credentials are missing or not valid."
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_unknown_address_costs_a_hash_as_well(
    anonymous: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    async def time_of(email: str) -> float:
        times = []
        for _ in range(9):
            started = perf_counter()
            await anonymous.post(
                TOKEN, data={"username": email, "password": "not the password"}
            )
            times.append(perf_counter() - started)
        return median(times)

    await time_of("ada@example.com")

    ratio = await time_of("nobody@example.com") / await time_of("ada@example.com")

    assert 0.2 < ratio < 5


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Bearer a.b.c", "Basic YTpi", "Token x"]
)
async def test_anything_but_a_valid_token_is_refused(
    anonymous: httpx2.AsyncClient, header: str
) -> None:
    response = await anonymous.get(ME, headers={"Authorization": header})

    assert response.status_code == 401
    assert response.json()["detail"] == "The credentials are missing or not valid."


async def test_refresh_token_is_no_access_token(client: httpx2.AsyncClient) -> None:
    pair = await sign_in(client, "ada@example.com")

    response = await client.get(
        ME, headers={"Authorization": f"Bearer {pair['refresh_token']}"}
    )

    assert response.status_code == 401


async def test_refreshing_gives_a_new_pair(client: httpx2.AsyncClient) -> None:
    pair = await sign_in(client, "ada@example.com")

    response = await refresh(client, pair["refresh_token"])

    assert response.status_code == 200
    newer = response.json()
    assert newer["refresh_token"] != pair["refresh_token"]
    me = await client.get(
        ME, headers={"Authorization": f"Bearer {newer['access_token']}"}
    )
    assert me.status_code == 200


async def test_reuse_revokes_the_whole_family_and_no_other(
    client: httpx2.AsyncClient,
) -> None:
    other = await sign_in(client, "ada@example.com")
    stolen = await sign_in(client, "ada@example.com")
    newer = (await refresh(client, stolen["refresh_token"])).json()

    reused = await refresh(client, stolen["refresh_token"])

    assert reused.status_code == 401
    assert (await refresh(client, newer["refresh_token"])).status_code == 401
    assert (await refresh(client, other["refresh_token"])).status_code == 200


async def test_of_many_refreshes_at_once_at_most_one_succeeds(
    client: httpx2.AsyncClient,
) -> None:
    pair = await sign_in(client, "ada@example.com")
    statuses: list[int] = []

    async def try_to_refresh() -> None:
        statuses.append((await refresh(client, pair["refresh_token"])).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(try_to_refresh)

    assert sorted(statuses) == [200, 401, 401, 401, 401]


@pytest.mark.parametrize("refresh_token", ["x", "a\x00b", "é"])
async def test_invented_refresh_token_is_refused(
    client: httpx2.AsyncClient, refresh_token: str
) -> None:
    response = await refresh(client, refresh_token)

    assert response.status_code == 401


async def test_signed_out_token_cannot_be_refreshed(
    client: httpx2.AsyncClient,
) -> None:
    pair = await sign_in(client, "ada@example.com")

    response = await client.post(LOGOUT, json={"refresh_token": pair["refresh_token"]})

    assert response.status_code == 204
    assert (await refresh(client, pair["refresh_token"])).status_code == 401


async def test_signing_out_an_unknown_token_is_no_error(
    client: httpx2.AsyncClient,
) -> None:
    response = await client.post(LOGOUT, json={"refresh_token": "unknown"})

    assert response.status_code == 204


@pytest.mark.parametrize("email", ["a\x00b@example.com", "é", "x" * 5000])
async def test_impossible_address_is_refused(
    client: httpx2.AsyncClient, email: str
) -> None:
    response = await client.post(TOKEN, data={"username": email, "password": PASSWORD})

    assert response.status_code in {400, 401}
