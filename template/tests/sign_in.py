"""Users of the service in the tests: how they register and sign in."""

from collections.abc import Awaitable, Callable

import httpx2

PASSWORD = "a long and quiet river"

NewClient = Callable[[str], Awaitable[httpx2.AsyncClient]]
"""Registers a user by e-mail address and returns a client that is signed in as the user."""


async def register(client: httpx2.AsyncClient, email: str) -> None:
    """Register a user."""
    response = await client.post(
        "/api/v1/users",
        json={"email": email, "password": PASSWORD, "full_name": "Ada Lovelace"},
    )
    response.raise_for_status()


async def sign_in(
    client: httpx2.AsyncClient, email: str, password: str = PASSWORD
) -> dict[str, str]:
    """Exchange a password for tokens; the client sends the access token from now on."""
    response = await client.post(
        "/api/v1/auth/token", data={"username": email, "password": password}
    )
    response.raise_for_status()
    pair: dict[str, str] = response.json()
    client.headers["Authorization"] = f"Bearer {pair['access_token']}"
    return pair
