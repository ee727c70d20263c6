"""Conflicts with a change that was committed while this request was running."""

from fastapi import FastAPI, Request
from sqlalchemy.orm.exc import StaleDataError
from starlette.responses import JSONResponse

from ..errors import ConflictError, ServiceError
from ..http.problems import service_error_response
from .versions import PreconditionFailedError


async def _handle_stale_data(request: Request, error: StaleDataError) -> JSONResponse:
    refusal: ServiceError
    # If-Match: * holds for every version, so a newer one does not break it.
    if request.headers.get("If-Match", "*").strip() == "*":
        refusal = ConflictError("It has just been changed by another request.")
    else:
        refusal = PreconditionFailedError("It has just been changed: read it again.")
    return service_error_response(request.scope, refusal)


def add_conditional_writes(app: FastAPI) -> None:
    """Respond with 412 instead of 409 where the request has a condition."""
    app.exception_handler(StaleDataError)(_handle_stale_data)
