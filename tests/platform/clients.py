"""A running application in this process, and clients of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

BASE_URL = "http://localhost"


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[ASGIApp]:
    """Start the application as a server would, and stop it at the end."""
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            # A server gives every request a copy of the state of the lifespan.
            scope["state"] = dict(state or {})
            await app(scope, receive, send)

        yield with_state


def client_of(app: ASGIApp, address: str = "127.0.0.1", **headers: str) -> httpx2.AsyncClient:
    """Return a client that calls the application without a network.

    Args:
        app: The running application.
        address: The client's address, as the application sees it.
        headers: Sent with every request; ``_`` stands for ``-``.
    """
    transport = httpx2.ASGITransport(app, client=(address, 50_000))
    named = {name.replace("_", "-"): content for name, content in headers.items()}
    return httpx2.AsyncClient(transport=transport, base_url=BASE_URL, headers=named)
