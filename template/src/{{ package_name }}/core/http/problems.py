"""Error responses in one shape: problem details, as RFC 9457 defines them."""

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
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import compile_path
from starlette.types import Scope

from ..errors import ServiceError, TooManyRequestsError, UnavailableError
from .request_id import SCOPE_KEY

log = structlog.stdlib.get_logger(__name__)

LOST_CONNECTION = (ConnectionError, TimeoutError, socket.gaierror)
"""A connection was refused, reset or timed out, or a stopped container's name is gone."""

UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH)
"""How the network reports a machine that is gone."""

MEDIA_TYPE = "application/problem+json"

Responses = dict[int | str, dict[str, Any]]
"""What FastAPI's ``responses=`` takes."""

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
"""Listed here, because the standard library renames its phrases between versions."""

STATUS_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}


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


def problem_responses(*statuses: int) -> Responses:
    """Describe error responses for the API's documentation."""
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
    """Build one error response, without the query string, which may contain secrets.

    The detail tells the caller what to do. The code is for programs; by default it
    follows the title. Extensions are further members of the document.
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
    """Translate a refusal into its response."""
    headers = STATUS_HEADERS.get(error.http_status)
    if isinstance(error, TooManyRequestsError):
        headers = {"Retry-After": str(error.retry_seconds)}
    return problem_response(
        scope, error.http_status, error.message, code=error.code, headers=headers
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
    """List all methods of a path; the framework names those of one route only."""
    methods: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        if context.path and compile_path(context.path)[0].match(request.url.path):
            methods |= context.methods or set()
    return sorted(methods)


async def _handle_invalid_request(
    request: Request, error: RequestValidationError
) -> JSONResponse:
    # The content is left out of the response: it may be a password.
    errors = [
        InvalidField(
            location=".".join(map(str, failure["loc"])),
            message=failure["msg"],
            type=failure["type"],
        )
        for failure in error.errors()
    ]
    status, detail = 422, "The content does not match the schema."
    if any(field.type == "json_invalid" for field in errors):
        status, detail = 400, "The body is not valid JSON."
    return problem_response(request.scope, status, detail, errors=errors)


async def _handle_system_error(request: Request, error: OSError) -> JSONResponse:
    if not isinstance(error, LOST_CONNECTION) and error.errno not in UNREACHABLE:
        raise error
    log.warning("dependency_unavailable", error_type=type(error).__name__)
    return service_error_response(
        request.scope, UnavailableError("A system this service needs does not respond.")
    )


def add_problem_handlers(app: FastAPI) -> None:
    """Respond to every expected error with a problem document."""
    app.exception_handler(ServiceError)(_handle_service_error)
    app.exception_handler(HTTPException)(_handle_http_exception)
    app.exception_handler(RequestValidationError)(_handle_invalid_request)
    app.exception_handler(OSError)(_handle_system_error)


def describe_problems(document: dict[str, Any]) -> None:
    """Complete the error responses of an OpenAPI document.

    They get their real media type, and operations that need credentials get a 401; a
    403, too, where several kinds of credentials are accepted, because one of the kinds
    may be allowed less than the other.
    """
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for path in document.get("paths", {}).values():
        for operation in path.values():
            responses = operation["responses"]
            for status in (401, 403)[: len(operation.get("security", []))]:
                responses[str(status)] = {
                    "description": TITLES[status],
                    "content": {MEDIA_TYPE: problem},
                }
            for status, response in responses.items():
                content = response.get("content", {})
                if status.startswith(("4", "5")) and "application/json" in content:
                    content[MEDIA_TYPE] = content.pop("application/json")
            operation["responses"] = dict(sorted(responses.items()))
