"""What can go wrong in a service's own terms, without a word of HTTP.

ServiceError
├── AuthenticationError   nobody knows who is asking
├── ForbiddenError        the caller may not do this
├── NotFoundError         there is no such thing for this caller
├── ConflictError         the request clashes with the current state
├── InvalidRequestError   the request breaks a rule that no schema can state
└── UnavailableError      a system this one needs does not answer
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


class InvalidRequestError(ServiceError):
    """The request is well formed and breaks a rule that no schema can state."""

    code = "invalid_request"


class UnavailableError(ServiceError):
    """A system this service needs does not answer."""

    code = "unavailable"
