"""Cross-origin requests: what the pages of other web origins may send and read."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from .problems import problem_response
from .request_id import HEADER as REQUEST_ID
from .settings import HttpSettings

ALLOWED_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ALLOWED_HEADERS = (
    *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"),
    REQUEST_ID,
)
EXPOSED_HEADERS = (
    *("ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After"),
    REQUEST_ID,
)


class ProblemCorsMiddleware(CORSMiddleware):
    """Refuses preflight requests with a problem document instead of plain text."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        super().__init__(
            app,
            allow_origins=settings.cors_origins,
            allow_credentials=settings.cors_allow_credentials,
            allow_methods=ALLOWED_METHODS,
            allow_headers=ALLOWED_HEADERS,
            expose_headers=EXPOSED_HEADERS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a preflight request; complete any other response."""
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            headers = Headers(scope=scope)
            if "origin" in headers and "access-control-request-method" in headers:
                response = self.preflight_response(headers)
                if response.status_code != HTTPStatus.OK:
                    response = problem_response(
                        scope,
                        response.status_code,
                        f"{bytes(response.body).decode()}.",
                        headers={"Vary": "Origin"},
                    )
                await response(scope, receive, send)
                return
        await super().__call__(scope, receive, send)
