"""Rate limits over HTTP: a default for all routes, stricter ones for some."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.datastructures import MutableHeaders
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import ServiceError
from ..http.docs import ASSETS_PATH
from ..http.health import PROBE_PATHS
from ..http.middleware import Layer, add_layer
from ..http.problems import service_error_response
from ..lifespan import State, add_lifespan
from .limits import (
    DEFAULT,
    SCOPE_KEY,
    Counts,
    Quota,
    RateLimiter,
    spend_for_client,
)
from .settings import RateLimitSettings

Matches = Callable[[Scope], tuple[Match, Scope]]


class RateLimitMiddleware:
    """Applies the default limit and those of the route, and reports what is left.

    It is a middleware, so that it applies to every router, and before a body is read:
    all limits of a request are counted in one step. The header fields follow
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
            routes: LimitedRoutes = scope["state"]["rate_limited_routes"]
            await spend_for_client(scope, DEFAULT, *routes.limits_of(scope))
        except ServiceError as error:
            refusal = service_error_response(scope, error)
            await refusal(scope, receive, send_with_fields)
            return
        await self._app(scope, receive, send_with_fields)


class RouteLimit:
    """The dependency that names a further limit of a route."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, request: Request) -> None:
        """Count the request, unless the middleware has: it does not know all routes."""
        quotas: list[Quota] = request.scope[SCOPE_KEY]
        if all(quota.name != self.name for quota in quotas):
            await spend_for_client(request.scope, self.name)


class LimitedRoutes:
    """Finds the further limits of a request before it reaches its route.

    Routes of mounted applications, or added while the application runs, are not known.
    """

    def __init__(self, routes: list[BaseRoute]) -> None:
        self._all = routes

    @cached_property
    def _routes(self) -> list[tuple[Matches, list[str]]]:
        # At the first request, because FastAPI then prepares its routes anyway.
        return [
            (route.matches, [*_limits_of(getattr(route, "dependant", None))])
            for route in iter_route_contexts(self._all)
        ]

    @cached_property
    def _limited(self) -> list[tuple[Matches, list[str]]]:
        return [route for route in self._routes if route[1]]

    def limits_of(self, scope: Scope) -> list[str]:
        """Return the names of the limits of the request's route."""
        for matches, _ in self._limited:
            if matches(scope)[0] is Match.FULL:
                break
        else:
            return []
        # An earlier route may match as well, and the first one gets the request.
        return next(
            names for matches, names in self._routes if matches(scope)[0] is Match.FULL
        )


def add_rate_limits(
    app: FastAPI, settings: RateLimitSettings, counts: Counts, *, is_open: bool = True
) -> RateLimiter:
    """Limit how many requests a client may send."""
    limiter = RateLimiter(counts, settings, is_open=is_open)

    @asynccontextmanager
    async def share_limiter() -> AsyncIterator[State]:
        routes = LimitedRoutes(app.routes)
        yield {"rate_limiter": limiter, "rate_limited_routes": routes}

    add_layer(app, Layer.RATE_LIMITS, RateLimitMiddleware)
    add_lifespan(app, share_limiter)
    return limiter


def rate_limit(name: str) -> Any:  # noqa: ANN401 - what FastAPI calls a dependency
    """Apply a further limit to a route: ``dependencies=[rate_limit("exports")]``.

    The setting ``rate_limit_exports`` holds its rate.
    """
    return Depends(RouteLimit(name))


def _limits_of(dependant: Dependant | None) -> Iterator[str]:
    for dependency in dependant.dependencies if dependant else ():
        if isinstance(dependency.call, RouteLimit):
            yield dependency.call.name
        yield from _limits_of(dependency)


def _is_exempt(path: str) -> bool:
    # Probes are frequent and must not be refused; a page of /docs loads many files.
    return path in PROBE_PATHS or path.startswith(f"{ASSETS_PATH}/")
