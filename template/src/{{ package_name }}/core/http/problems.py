"""Every error leaves in one shape: problem details, as RFC 9457 defines them."""

import errno
import socket
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import (
    AuthenticationError,
    ConflictError,
    ForbiddenError,
    InvalidContentError,
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    TooManyRequestsError,
    UnavailableError,
    UpstreamError,
    UpstreamUnavailableError,
)
from .request_id import SCOPE_KEY

log = structlog.stdlib.get_logger(__name__)

UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH)
"""What the network says of a machine that is gone, beside refusing and resetting."""

MEDIA_TYPE = "application/problem+json"
PROBLEM_REFERENCE = "#/components/schemas/Problem"

STATUSES: Mapping[type[ServiceError], HTTPStatus] = {
    AuthenticationError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    PreconditionFailedError: HTTPStatus.PRECONDITION_FAILED,
    InvalidRequestError: HTTPStatus.BAD_REQUEST,
    InvalidContentError: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooManyRequestsError: HTTPStatus.TOO_MANY_REQUESTS,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    UpstreamError: HTTPStatus.BAD_GATEWAY,
    UpstreamUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The one place where a service's error becomes a status."""

TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    412: "Precondition failed",
    413: "Content too large",
    415: "Unsupported media type",
    422: "Invalid content",
    429: "Too many requests",
    500: "Internal error",
    502: "Bad gateway",
    503: "Unavailable",
}
"""Our own, because the standard library renames its phrases between versions."""


class InvalidField(BaseModel):
    """One thing that is wrong with the request's content."""

    location: str = Field(examples=["body.name"])
    message: str = Field(examples=["Field required"])
    type: str = Field(examples=["missing"])


class Problem(BaseModel):
    """Why the request was not carried out."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no such item."])
    instance: str = Field(examples=["/api/v1/items/42"])
    code: str = Field(examples=["not_found"])
    request_id: str = Field(examples=["6f1c0e2d9a4b4c39"])
    error: str = Field(examples=["Not found: There is no such item."])
    errors: list[InvalidField] | None = None


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe error answers for the API's documentation."""
    return {
        status: {"model": Problem, "description": TITLES[status]} for status in statuses
    }


def problem_response(
    scope: Scope,
    status: int,
    detail: str,
    *,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[InvalidField] | None = None,
    **extensions: object,
) -> JSONResponse:
    """Build one error answer.

    Args:
        scope: The request's, for its path and its id; the query string stays out.
        status: The HTTP status.
        detail: A sentence that says what the caller can do.
        code: A stable name for programs; by default it follows the title.
        headers: Further headers of the answer.
        errors: What is wrong with the content, field by field.
        extensions: Further members of the document.
    """
    title = TITLES.get(status) or HTTPStatus(status).phrase
    document = Problem(
        type="about:blank",
        title=title,
        status=status,
        detail=detail,
        instance=scope["path"],
        code=code or title.lower().replace(" ", "_"),
        request_id=scope.get(SCOPE_KEY, ""),
        error=f"{title}: {detail}",
        errors=list(errors) if errors is not None else None,
    )
    return JSONResponse(
        document.model_dump(exclude_none=True) | extensions,
        status_code=status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def service_error_response(scope: Scope, error: ServiceError) -> JSONResponse:
    """Translate a service's refusal."""
    status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    if isinstance(error, TooManyRequestsError):
        headers["Retry-After"] = str(error.retry_seconds)
    return problem_response(
        scope, status, error.message, code=error.code, headers=headers
    )


async def _handle_service_error(request: Request, error: ServiceError) -> JSONResponse:
    return service_error_response(request.scope, error)


async def _handle_http_exception(
    request: Request, error: HTTPException
) -> JSONResponse:
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed_methods(request))
    return problem_response(
        request.scope, error.status_code, str(error.detail), headers=headers
    )


def _allowed_methods(request: Request) -> list[str]:
    """List what a path can do; the framework names one route's methods alone."""
    methods: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        if context.path and compile_path(context.path)[0].match(request.url.path):
            methods |= context.methods or set()
    return sorted(methods)


async def _handle_invalid_request(
    request: Request, error: RequestValidationError
) -> JSONResponse:
    failures = error.errors()
    # What was sent is left out of the answer: it may be a password.
    errors = [
        InvalidField(
            location=".".join(str(part) for part in failure["loc"]),
            message=failure["msg"],
            type=failure["type"],
        )
        for failure in failures
    ]
    if any(failure["type"] == "json_invalid" for failure in failures):
        return problem_response(
            request.scope, 400, "The body is not valid JSON.", errors=errors
        )
    return problem_response(
        request.scope, 422, "The content does not match the schema.", errors=errors
    )


async def _handle_silence(request: Request, error: OSError) -> JSONResponse:
    log.warning("dependency_unavailable", error_type=type(error).__name__)
    return service_error_response(
        request.scope, UnavailableError("A system this service needs does not answer.")
    )


async def _handle_system_error(request: Request, error: OSError) -> JSONResponse:
    # A container that was stopped takes its name along, so it cannot be looked up.
    if isinstance(error, socket.gaierror) or error.errno in UNREACHABLE:
        return await _handle_silence(request, error)
    raise error


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every expected error with a problem document."""
    app.exception_handler(ServiceError)(_handle_service_error)
    app.exception_handler(HTTPException)(_handle_http_exception)
    app.exception_handler(RequestValidationError)(_handle_invalid_request)
    # A refused, reset or timed-out connection to anything the service depends on.
    app.exception_handler(ConnectionError)(_handle_silence)
    app.exception_handler(TimeoutError)(_handle_silence)
    app.exception_handler(OSError)(_handle_system_error)


def describe_problems(document: dict[str, Any]) -> dict[str, Any]:
    """Complete the error answers of an OpenAPI document.

    They get the media type that they really have, and whatever needs credentials
    gets its 401; its 403, too, where more than one kind of them is accepted, because
    one of the kinds may do less than the other.
    """
    for path in document.get("paths", {}).values():
        for operation in path.values():
            responses = operation["responses"]
            security = operation.get("security", [])
            for status in (401, 403)[: len(security)]:
                responses[str(status)] = {
                    "description": TITLES[status],
                    "content": {MEDIA_TYPE: {"schema": {"$ref": PROBLEM_REFERENCE}}},
                }
            for status, response in responses.items():
                content = response.get("content", {})
                if status.startswith(("4", "5")) and "application/json" in content:
                    content[MEDIA_TYPE] = content.pop("application/json")
            operation["responses"] = dict(sorted(responses.items()))
    return document


class UnexpectedErrorMiddleware:
    """Turns what nobody expected into a problem document and one log line.

    It is the innermost middleware, so that the answer still passes through the
    others: an error handler for ``Exception`` would answer outside of them, without
    CORS and security headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through and catch what falls out."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_started = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_started
            has_started = has_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            if has_started:
                # Half an answer is out; only cutting it off tells the client.
                raise
            log.exception("request_failed")
            detail = "Something went wrong here. The request id helps to find out what."
            response = problem_response(scope, 500, detail)
            await response(scope, receive, send)


class PlainErrorMiddleware:
    """Gives the plain-text errors of ready-made middleware the one shape."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the middleware whose errors are plain text."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through; rewrite an answer that is an error in plain text."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        text = b""

        async def send_reshaped(message: Message) -> None:
            nonlocal start, text
            if message["type"] == "http.response.start" and _is_plain_error(message):
                start = message
                return
            if start is None:
                await send(message)
                return
            text += message.get("body", b"")
            if message.get("more_body", False):
                return
            headers = {
                name.decode("latin-1"): content.decode("latin-1")
                for name, content in start["headers"]
                if name.lower() not in {b"content-type", b"content-length"}
            }
            detail = text.decode("utf-8", "replace").rstrip(".") + "."
            response = problem_response(scope, start["status"], detail, headers=headers)
            await response(scope, receive, send)

        await self._app(scope, receive, send_reshaped)


def _is_plain_error(message: Message) -> bool:
    content_type = Headers(raw=message["headers"]).get("content-type", "")
    is_error: bool = message["status"] >= HTTPStatus.BAD_REQUEST
    return is_error and content_type.startswith("text/plain")
