"""What can go wrong, in the service's own terms."""

from http import HTTPStatus
from typing import ClassVar


class CommandError(RuntimeError):
    """A command cannot go on; the message tells its user what to do."""


class ServiceError(Exception):
    """A refusal whose message tells the caller what to do."""

    code: ClassVar[str]
    """A stable name for programs; the message is for people."""

    http_status: ClassVar[HTTPStatus]
    """The status of the response where the error leaves over HTTP."""

    commit_on_error: ClassVar[bool] = False
    """Whether the request's changes are committed although it is refused."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class AuthenticationError(ServiceError):
    """The credentials are missing or invalid.

    The message is the same for every cause, so that a caller cannot tell unknown users
    from wrong passwords.
    """

    code = "not_authenticated"
    http_status = HTTPStatus.UNAUTHORIZED

    def __init__(
        self, message: str = "The credentials are missing or not valid."
    ) -> None:
        super().__init__(message)


class ForbiddenError(ServiceError):
    """The caller is known and may not do this."""

    code = "forbidden"
    http_status = HTTPStatus.FORBIDDEN


class NotFoundError(ServiceError):
    """There is no such thing, or none that this caller may know of."""

    code = "not_found"
    http_status = HTTPStatus.NOT_FOUND


class ConflictError(ServiceError):
    """The request conflicts with the current state."""

    code = "conflict"
    http_status = HTTPStatus.CONFLICT


class InvalidRequestError(ServiceError):
    """The request is well formed and breaks a rule that no schema can state."""

    code = "invalid_request"
    http_status = HTTPStatus.BAD_REQUEST


class InvalidContentError(ServiceError):
    """The content matches its schema and is not what the request may carry."""

    code = "invalid_content"
    http_status = HTTPStatus.UNPROCESSABLE_ENTITY


class TooManyRequestsError(ServiceError):
    """The caller has sent too many requests, and may retry later."""

    code = "too_many_requests"
    http_status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, retry_seconds: int) -> None:
        super().__init__(f"Too many requests: try again in {retry_seconds} s.")
        self.retry_seconds = retry_seconds


class UnavailableError(ServiceError):
    """A system that this service needs does not respond."""

    code = "unavailable"
    http_status = HTTPStatus.SERVICE_UNAVAILABLE
