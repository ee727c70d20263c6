"""The headers that tell a browser how little to trust an answer."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    # An API answers with data: nothing in it may load, run or be framed.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityHeadersMiddleware:
    """Adds the headers to every answer that does not set its own."""

    def __init__(self, app: ASGIApp, hsts_seconds: int = 0) -> None:
        """Wrap the next application.

        Args:
            app: What to wrap.
            hsts_seconds: How long browsers must insist on HTTPS; 0 says nothing.
        """
        self._app = app
        self._headers = dict(HEADERS)
        if hsts_seconds:
            self._headers["Strict-Transport-Security"] = f"max-age={hsts_seconds}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through and dress its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, content in self._headers.items():
                    headers.setdefault(name, content)
            await send(message)

        await self._app(scope, receive, send_with_headers)
