"""The layers that a request passes, in one list that also decides their order."""

from collections.abc import Callable
from enum import IntEnum, auto
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from .cors import ProblemCorsMiddleware
from .request_checks import (
    BodyLimitMiddleware,
    ConcurrencyLimitMiddleware,
    TrustedHostMiddleware,
)
from .requests import RequestMiddleware
from .settings import HttpSettings
from .unexpected_errors import UnexpectedErrorMiddleware


class Layer(IntEnum):
    """All layers, from the outside to the inside; each capability adds its own.

    What ``extras.py`` adds is outside of them. All of them are plain ASGI: Starlette's
    BaseHTTPMiddleware would cost more than the rest together and lose context variables.
    """

    METRICS = auto()
    """Counts every request, refused ones included; responds to /metrics."""
    REQUESTS = auto()
    """Gives the request an id, which all log lines from here on have; logs its final
    status and duration; adds the id, security headers and ``no-store`` to every
    response from below."""
    CORS = auto()
    """Lets pages of listed origins read every response from below, errors included."""
    UNEXPECTED_ERRORS = auto()
    """Responds with a problem document to any error in the layers below."""
    TRACED_ERRORS = auto()
    """Adds unexpected errors to the request's span."""
    ERROR_REPORTS = auto()
    """Reports unexpected errors."""
    CONCURRENCY_LIMIT = auto()
    """Refuses requests at once while too many are running."""
    TRUSTED_HOSTS = auto()
    """Refuses a forged Host header before any work is done."""
    RATE_LIMITS = auto()
    """Refuses clients that send too many requests."""
    BODY_LIMIT = auto()
    """Refuses a large body before it is read."""


class _LayerMiddleware(Middleware):
    layer: Layer


def add_layer(
    app: FastAPI,
    layer: Layer,
    middleware: Callable[..., ASGIApp],
    **options: Any,  # noqa: ANN401 - they are for the middleware
) -> None:
    """Add a middleware at its place in the list."""
    added = _LayerMiddleware(middleware, **options)
    added.layer = layer
    layers = app.user_middleware
    position = sum(
        one.layer < layer for one in layers if isinstance(one, _LayerMiddleware)
    )
    layers.insert(position, added)


def add_http_layers(app: FastAPI, settings: HttpSettings) -> None:
    """Add the layers that every service has."""
    add_layer(app, Layer.REQUESTS, RequestMiddleware, settings=settings)
    if settings.cors_origins:
        add_layer(app, Layer.CORS, ProblemCorsMiddleware, settings=settings)
    add_layer(app, Layer.UNEXPECTED_ERRORS, UnexpectedErrorMiddleware)
    add_layer(
        app, Layer.CONCURRENCY_LIMIT, ConcurrencyLimitMiddleware, settings=settings
    )
    add_layer(app, Layer.TRUSTED_HOSTS, TrustedHostMiddleware, settings=settings)
    add_layer(app, Layer.BODY_LIMIT, BodyLimitMiddleware, settings=settings)
