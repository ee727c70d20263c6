"""What the database's errors mean to a caller."""

import structlog
from fastapi import FastAPI, Request
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError
from starlette.responses import JSONResponse

from ..errors import (
    ConflictError,
    InvalidRequestError,
    PreconditionFailedError,
    ServiceError,
    UnavailableError,
)
from ..http.problems import service_error_response

log = structlog.stdlib.get_logger(__name__)

UNAVAILABLE_STATES = ("08", "28", "3D", "53", "57")
"""SQLSTATE classes: no connection, not let in, no such database, out of resources,
stopped by an operator or by a time limit."""

UNUSABLE_STATES = ("22",)
"""SQLSTATE classes: data that no column can hold, such as a NUL character."""


async def _handle_conflict(request: Request, error: IntegrityError) -> JSONResponse:
    # A service checks first and says what clashes; this is the race it cannot see.
    log.info("constraint_violated", sqlstate=_sqlstate(error))
    return service_error_response(
        request.scope, ConflictError("The request clashes with the current state.")
    )


async def _handle_stale_data(request: Request, error: StaleDataError) -> JSONResponse:
    # Between the moments at which a request read the record and stored it, another
    # one has changed it. Whether that breaks a condition is for the sender to say.
    refusal: ServiceError
    if request.headers.get("If-Match", "*").strip() != "*":
        refusal = PreconditionFailedError("It has just been changed: read it again.")
    else:
        refusal = ConflictError("It has just been changed by another request.")
    return service_error_response(request.scope, refusal)


async def _handle_database_error(
    request: Request, error: DBAPIError | PoolTimeoutError
) -> JSONResponse:
    refusal: ServiceError
    if _is_unavailable(error):
        log.warning("database_unavailable", error_type=type(error).__name__)
        refusal = UnavailableError("The database does not answer.")
    elif isinstance(error, DBAPIError) and _sqlstate(error).startswith(UNUSABLE_STATES):
        refusal = InvalidRequestError("The request holds what cannot be stored.")
    else:
        raise error
    return service_error_response(request.scope, refusal)


def _is_unavailable(error: DBAPIError | PoolTimeoutError) -> bool:
    if isinstance(error, PoolTimeoutError | OperationalError | InterfaceError):
        return True
    return error.connection_invalidated or _sqlstate(error).startswith(
        UNAVAILABLE_STATES
    )


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def add_database_problem_handlers(app: FastAPI) -> None:
    """Answer a clash with 409, unusable data with 400, a silent database with 503."""
    app.exception_handler(IntegrityError)(_handle_conflict)
    app.exception_handler(StaleDataError)(_handle_stale_data)
    app.exception_handler(DBAPIError)(_handle_database_error)
    app.exception_handler(PoolTimeoutError)(_handle_database_error)
