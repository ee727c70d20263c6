"""A running application in this process, for tests that speak HTTP to it."""

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
            # A server gives every request a copy of what the lifespan shares.
            scope["state"] = dict(state or {})
            await app(scope, receive, send)

        yield with_state


def client_of(app: ASGIApp) -> httpx2.AsyncClient:
    """Give a client that talks to the application without a network."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=BASE_URL)
