"""Errors that no handler handles: one log line and a problem document."""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import problem_response

log = structlog.stdlib.get_logger(__name__)


class UnexpectedErrorMiddleware:
    """Turns an unexpected error of any layer below into a problem document.

    An error handler for ``Exception`` would respond outside of all middleware, without
    request id, CORS and security headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and catch what is raised."""
        has_started = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_started
            has_started = has_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            # Once part of the response was sent, only a closed connection shows the
            # client that it is incomplete.
            if has_started or scope["type"] != "http":
                raise
            log.exception("request_failed")
            detail = "Something went wrong here. The request id helps to find out what."
            response = problem_response(scope, 500, detail)
            await response(scope, receive, send)
