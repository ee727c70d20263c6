"""Responses to errors of the database."""

import structlog
from fastapi import FastAPI, Request
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError
from starlette.responses import JSONResponse

from ..errors import ConflictError, InvalidRequestError, UnavailableError
from ..http.problems import service_error_response

log = structlog.stdlib.get_logger(__name__)

UNAVAILABLE_STATES = ("08", "28", "3D", "53", "57")
"""SQLSTATE classes: no connection, access denied, no such database, out of resources,
stopped by an operator or by a timeout."""

INVALID_DATA_STATES = ("22",)
"""SQLSTATE classes: values that no column can store, such as a NUL character."""


async def _handle_conflict(request: Request, error: IntegrityError) -> JSONResponse:
    # A service checks first and names the conflict; a concurrent request causes this one.
    log.info("constraint_violated", sqlstate=_sqlstate(error))
    return service_error_response(
        request.scope, ConflictError("The request clashes with the current state.")
    )


async def _handle_stale_data(request: Request, error: StaleDataError) -> JSONResponse:
    # Another request has changed or removed the row after this one read it.
    return service_error_response(
        request.scope, ConflictError("It has just been changed by another request.")
    )


async def _handle_timeout(request: Request, error: PoolTimeoutError) -> JSONResponse:
    return _unavailable(request, error)


async def _handle_database_error(request: Request, error: DBAPIError) -> JSONResponse:
    state = _sqlstate(error)
    is_broken = isinstance(error, OperationalError | InterfaceError)
    is_broken = is_broken or error.connection_invalidated
    if is_broken or state.startswith(UNAVAILABLE_STATES):
        return _unavailable(request, error)
    if state.startswith(INVALID_DATA_STATES):
        message = "The request contains values that cannot be stored."
        return service_error_response(request.scope, InvalidRequestError(message))
    raise error


def _unavailable(request: Request, error: Exception) -> JSONResponse:
    log.warning("database_unavailable", error_type=type(error).__name__)
    refusal = UnavailableError("The database does not respond.")
    return service_error_response(request.scope, refusal)


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def add_database_problem_handlers(app: FastAPI) -> None:
    """Respond 409 to a conflict, 400 to invalid data, 503 while it is unavailable."""
    app.exception_handler(IntegrityError)(_handle_conflict)
    app.exception_handler(StaleDataError)(_handle_stale_data)
    app.exception_handler(DBAPIError)(_handle_database_error)
    app.exception_handler(PoolTimeoutError)(_handle_timeout)
