"""Rate limits over HTTP: a default for all routes, stricter ones for some."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request
from limits.aio.storage import MemoryStorage
from limits.aio.storage.base import Storage
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import ServiceError
from ..http.docs import ASSETS_PATH
from ..http.health import PROBE_PATHS
from ..http.middleware import Layer, add_layer
from ..http.problems import service_error_response
from ..lifespan import State, add_lifespan
from .limits import DEFAULT, SCOPE_KEY, Quota, RateLimiter, spend_for_client
from .settings import RateLimitSettings


class RateLimitMiddleware:
    """Applies the default limit to every client and reports what is left of each limit.

    It is a middleware, so that it applies to every router. The header fields follow
    the IETF's draft "RateLimit header fields for HTTP".
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request, then pass it on or refuse it."""
        if scope["type"] != "http" or _is_exempt(scope["path"]):
            await self._app(scope, receive, send)
            return
        quotas: list[Quota] = []
        scope[SCOPE_KEY] = quotas

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start" and quotas:
                headers = MutableHeaders(scope=message)
                headers["RateLimit-Policy"] = ", ".join(
                    f'"{quota.name}";q={quota.limit};w={quota.window_seconds}'
                    for quota in quotas
                )
                headers["RateLimit"] = ", ".join(
                    f'"{quota.name}";r={quota.remaining};t={quota.reset_seconds}'
                    for quota in quotas
                )
            await send(message)

        try:
            await spend_for_client(scope, DEFAULT)
        except ServiceError as error:
            refusal = service_error_response(scope, error)
            await refusal(scope, receive, send_with_fields)
            return
        await self._app(scope, receive, send_with_fields)


def add_rate_limits(
    app: FastAPI,
    settings: RateLimitSettings,
    storage: Storage | None = None,
    *,
    is_open: bool = True,
) -> RateLimiter:
    """Limit how many requests a client may send; by default, count in this process."""
    limiter = RateLimiter(storage or MemoryStorage(), settings, is_open=is_open)

    @asynccontextmanager
    async def share_limiter() -> AsyncIterator[State]:
        yield {"rate_limiter": limiter}

    add_layer(app, Layer.RATE_LIMITS, RateLimitMiddleware)
    add_lifespan(app, share_limiter)
    return limiter


def rate_limit(name: str) -> Any:  # noqa: ANN401 - what FastAPI calls a dependency
    """Apply a further limit to a route: ``dependencies=[rate_limit("exports")]``.

    The setting ``rate_limit_exports`` holds its rate.
    """

    async def apply_limit(request: Request) -> None:
        await spend_for_client(request.scope, name)

    return Depends(apply_limit)


def _is_exempt(path: str) -> bool:
    # Probes are frequent and must not be refused; a page of /docs loads many files.
    return path in PROBE_PATHS or path.startswith(f"{ASSETS_PATH}/")
