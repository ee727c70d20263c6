"""Rate limits over HTTP: the default one on every route, stricter ones where asked."""

from typing import Any

from fastapi import Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import ServiceError
from ..http.docs import ASSETS_PATH
from ..http.health import PROBE_PATHS
from ..http.problems import service_error_response
from .limits import DEFAULT, SCOPE_KEY, Quota, spend_for_client

RESPONSE_HEADERS = ("RateLimit", "RateLimit-Policy", "Retry-After")


class RateLimitMiddleware:
    """Holds every client to the default limit and says what is left of each limit.

    It stands outside of the routes, so that no router can be forgotten. The fields
    follow the IETF's draft "RateLimit header fields for HTTP".
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the next application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request, then let it through or refuse it."""
        if scope["type"] != "http" or _is_exempt(scope["path"]):
            await self._app(scope, receive, send)
            return
        quotas: list[Quota] = []
        scope[SCOPE_KEY] = quotas

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start" and quotas:
                headers = MutableHeaders(scope=message)
                headers["RateLimit-Policy"] = ", ".join(map(_policy, quotas))
                headers["RateLimit"] = ", ".join(map(_state, quotas))
            await send(message)

        try:
            await spend_for_client(scope, DEFAULT)
        except ServiceError as error:
            refusal = service_error_response(scope, error)
            await refusal(scope, receive, send_with_fields)
            return
        await self._app(scope, receive, send_with_fields)


def limited(name: str) -> Any:  # noqa: ANN401 - what FastAPI calls a dependency
    """Hold a route to a further limit: ``dependencies=[limited("exports")]``.

    Args:
        name: The limit's name; the setting ``rate_limit_exports`` says how much.
    """

    async def hold_to_limit(request: Request) -> None:
        await spend_for_client(request.scope, name)

    return Depends(hold_to_limit)


def _is_exempt(path: str) -> bool:
    # Probes come often and must get through; a page of /docs loads many files.
    return path in PROBE_PATHS or path.startswith(f"{ASSETS_PATH}/")


def _policy(quota: Quota) -> str:
    return f'"{quota.name}";q={quota.limit};w={quota.window_seconds}'


def _state(quota: Quota) -> str:
    return f'"{quota.name}";r={quota.remaining};t={quota.reset_seconds}'
