"""The application in this process, and clients that send requests to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .operation_coverage import note_response

BASE_URL = "http://localhost"


@asynccontextmanager
async def started(app: FastAPI) -> AsyncIterator[ASGIApp]:
    """Run the application's lifespan, as a server does."""
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            # A server gives each request a copy of the lifespan's state.
            scope["state"] = dict(state or {})

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    note_response(scope["method"], scope["path"], message["status"])
                await send(message)

            await app(scope, receive, send_and_note)

        yield with_state


def client_of(service: ASGIApp, address: str = "127.0.0.1") -> httpx2.AsyncClient:
    """Return a client that sends its requests without a network.

    Args:
        service: The started application.
        address: The client's address, as the application sees it.
    """
    transport = httpx2.ASGITransport(service, client=(address, 50_000))
    return httpx2.AsyncClient(transport=transport, base_url=BASE_URL)
