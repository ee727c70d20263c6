"""User accounts of tests: registration, sign-in, roles."""

from collections.abc import Awaitable, Callable

import httpx2

PASSWORD = "a long and quiet river"
ADA = "ada@example.com"

NewAccount = Callable[[str], Awaitable[httpx2.AsyncClient]]
"""Registers an e-mail address and returns a client that is signed in with it."""


async def register(client: httpx2.AsyncClient, email: str) -> None:
    """Register a user.

    Raises:
        HTTPStatusError: the service refused it.
    """
    response = await client.post(
        "/api/v1/users",
        json={"email": email, "password": PASSWORD, "full_name": "Ada Lovelace"},
    )
    response.raise_for_status()


async def sign_in(
    client: httpx2.AsyncClient, email: str, password: str = PASSWORD
) -> dict[str, str]:
    """Sign in, send the access token from now on, and return both tokens."""
    response = await client.post(
        "/api/v1/auth/token", data={"username": email, "password": password}
    )
    response.raise_for_status()
    pair: dict[str, str] = response.json()
    client.headers["Authorization"] = f"Bearer {pair['access_token']}"
    return pair
