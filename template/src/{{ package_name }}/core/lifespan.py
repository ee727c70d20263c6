"""Lifespans: each capability adds what it opens while the application runs."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI

State = Mapping[str, Any]


def add_lifespan(
    app: FastAPI, opening: Callable[[], AbstractAsyncContextManager[State]]
) -> None:
    """Open something before the first request, and close it after the last one.

    What is added later is opened later and closed earlier. An included router can have
    a lifespan, too, but then every request is compared with that router's routes.
    What ``opening`` yields is part of ``request.state``.
    """
    outer = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[State]:
        async with outer(app) as state, opening() as more:
            yield {**(state or {}), **more}

    app.router.lifespan_context = lifespan
