"""People who use the service in the tests."""

from collections.abc import Awaitable, Callable

import httpx2

PASSWORD = "a long and quiet river"

NewClient = Callable[[str], Awaitable[httpx2.AsyncClient]]
"""Registers somebody by e-mail address and gives a client that speaks for them."""


async def register(client: httpx2.AsyncClient, email: str) -> None:
    """Register somebody."""
    response = await client.post(
        "/api/v1/users",
        json={"email": email, "password": PASSWORD, "full_name": "Ada Lovelace"},
    )
    response.raise_for_status()


async def sign_in(
    client: httpx2.AsyncClient, email: str, password: str = PASSWORD
) -> dict[str, str]:
    """Trade a password for a pair of tokens, and use the access token from now on."""
    response = await client.post(
        "/api/v1/auth/token", data={"username": email, "password": password}
    )
    response.raise_for_status()
    pair: dict[str, str] = response.json()
    client.headers["Authorization"] = f"Bearer {pair['access_token']}"
    return pair
