"""What can go wrong in a service's own terms, without a word of HTTP.

ServiceError
├── AuthenticationError      nobody knows who is asking
├── ForbiddenError           the caller may not do this
├── NotFoundError            there is no such thing for this caller
├── ConflictError            the request clashes with the current state
├── PreconditionFailedError  the caller has not seen what it would change
├── InvalidRequestError      the request breaks a rule that no schema can state
├── InvalidContentError      the content is not what the request may carry
├── TooManyRequestsError     the caller has asked too often, and may ask again later
├── UnavailableError         a system this one needs does not answer
└── UpstreamError            another service did not do what it was asked for
    └── UpstreamUnavailableError  it does not answer, or not now
"""

from typing import ClassVar


class CommandError(RuntimeError):
    """A command cannot go on; the message tells whoever typed it what to do."""


class ServiceError(Exception):
    """A refusal whose message tells the caller what to do."""

    code: ClassVar[str]
    """A stable name for programs; the message is for people."""

    keeps_changes: ClassVar[bool] = False
    """Whether what the request wrote is committed although it is refused."""

    def __init__(self, message: str) -> None:
        """Take the sentence that the caller will read."""
        super().__init__(message)
        self.message = message


class AuthenticationError(ServiceError):
    """The credentials are missing or not valid; which of the two is not said."""

    code = "not_authenticated"

    def __init__(
        self, message: str = "The credentials are missing or not valid."
    ) -> None:
        """Use one sentence for every cause, so that an answer teaches nothing."""
        super().__init__(message)


class ForbiddenError(ServiceError):
    """The caller is known and may not do this."""

    code = "forbidden"


class NotFoundError(ServiceError):
    """There is no such thing, or none that this caller may know of."""

    code = "not_found"


class ConflictError(ServiceError):
    """The request clashes with the current state."""

    code = "conflict"


class PreconditionFailedError(ServiceError):
    """The caller has not seen what it would change."""

    code = "precondition_failed"


class InvalidRequestError(ServiceError):
    """The request is well formed and breaks a rule that no schema can state."""

    code = "invalid_request"


class InvalidContentError(ServiceError):
    """The content matches its schema and is not what the request may carry."""

    code = "invalid_content"


class TooManyRequestsError(ServiceError):
    """The caller has asked too often, and may ask again later."""

    code = "too_many_requests"

    def __init__(self, retry_seconds: int) -> None:
        """Say when asking again has a chance."""
        super().__init__(f"Too many requests: try again in {retry_seconds} s.")
        self.retry_seconds = retry_seconds


class UnavailableError(ServiceError):
    """A system this service needs does not answer."""

    code = "unavailable"


class UpstreamError(ServiceError):
    """Another service did not do what it was asked for."""

    code = "upstream_failed"

    def __init__(
        self,
        status: int | None = None,
        message: str = "A service this one needs did not do its part.",
    ) -> None:
        """Take what is known; which service it was is for the log alone.

        Args:
            status: Its answer's status, if there was an answer.
            message: The sentence that the caller will read.
        """
        super().__init__(message)
        self.status = status


class UpstreamUnavailableError(UpstreamError):
    """Another service does not answer, or asks to come again later."""

    code = "upstream_unavailable"

    def __init__(
        self,
        message: str = "A service this one needs does not answer: try again later.",
        *,
        status: int | None = None,
    ) -> None:
        """Say that trying again has a chance."""
        super().__init__(status, message)
