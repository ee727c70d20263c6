"""A running application in this process, for tests that speak HTTP to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .exercised import note_answer

BASE_URL = "http://localhost"


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[ASGIApp]:
    """Start the application as a server would, and stop it at the end."""
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            # A server gives every request a copy of what the lifespan shares.
            scope["state"] = dict(state or {})

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    note_answer(scope["method"], scope["path"], message["status"])
                await send(message)

            await app(scope, receive, send_and_note)

        yield with_state


def client_of(app: ASGIApp, address: str = "127.0.0.1") -> httpx2.AsyncClient:
    """Give a client that talks to the application without a network.

    Args:
        app: The running application.
        address: Where the application sees the client.
    """
    transport = httpx2.ASGITransport(app, client=(address, 50_000))
    return httpx2.AsyncClient(transport=transport, base_url=BASE_URL)
