"""How calls to other services fail."""

from http import HTTPStatus

from ..errors import ServiceError


class UpstreamError(ServiceError):
    """A call to another service failed."""

    code = "upstream_failed"
    http_status = HTTPStatus.BAD_GATEWAY

    def __init__(
        self,
        status: int | None = None,
        message: str = "A service this one needs did not do its part.",
    ) -> None:
        """Store the status and a message; the name of the service is only logged.

        Args:
            status: The status of its response, if there was a response.
            message: The text that the caller of this service receives.
        """
        super().__init__(message)
        self.status = status


class UpstreamUnavailableError(UpstreamError):
    """Another service does not respond, or requests a retry later."""

    code = "upstream_unavailable"
    http_status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(
        self,
        message: str = "A service this one needs does not respond: try again later.",
        *,
        status: int | None = None,
    ) -> None:
        """State that a retry may succeed."""
        super().__init__(status, message)
