"""The order in which a request passes the middleware, in one place.

From the outside to the inside:

1. request id         names the request; everything below can log the name
2. access log         sees the final status of everything below
3. security headers   dress every answer, errors included
4. no store           keeps from caches whatever says nothing of them itself
5. plain errors       give the errors of 6, 7 and 9 the one shape
6. CORS               browsers may read every answer from below, errors included
7. trusted hosts      refuse a forged Host header before any work is done
8. rate limit         refuses who asks too often, and tells everybody what is left
9. body limit         refuses too much content before it is read
10. unexpected errors answer what nothing else has caught, inside all of the above

All of them are plain ASGI: Starlette's BaseHTTPMiddleware would cost more than the
rest together and lose context variables.
"""

from fastapi import FastAPI
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import Receive, Scope, Send

from ..rate_limits.middleware import RESPONSE_HEADERS, RateLimitMiddleware
from ..settings import ServiceSettings
from .access_log import AccessLogMiddleware
from .cache_control import NoStoreMiddleware
from .cors import ALLOWED_HEADERS, ALLOWED_METHODS, EXPOSED_HEADERS
from .health import PROBE_PATHS
from .problems import PlainErrorMiddleware, UnexpectedErrorMiddleware
from .request_id import RequestIdMiddleware
from .security_headers import SecurityHeadersMiddleware


class ExceptProbesTrustedHostMiddleware(TrustedHostMiddleware):
    """Checks the Host header of everything but probes, which come by address."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let probes through; check the rest."""
        if scope["type"] == "http" and scope["path"] in PROBE_PATHS:
            await self.app(scope, receive, send)
            return
        await super().__call__(scope, receive, send)


def add_middleware(app: FastAPI, settings: ServiceSettings) -> None:
    """Wrap the application; the last one added is the outermost."""
    app.add_middleware(UnexpectedErrorMiddleware)
    app.add_middleware(
        RequestBodyLimitMiddleware, max_body_size=settings.max_body_bytes
    )
    app.add_middleware(RateLimitMiddleware)
    app.add_middleware(
        ExceptProbesTrustedHostMiddleware,
        allowed_hosts=settings.allowed_hosts,
        www_redirect=False,
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_credentials=settings.cors_allow_credentials,
        allow_methods=ALLOWED_METHODS,
        allow_headers=ALLOWED_HEADERS,
        expose_headers=[*EXPOSED_HEADERS, *RESPONSE_HEADERS],
    )
    app.add_middleware(PlainErrorMiddleware)
    app.add_middleware(NoStoreMiddleware)
    app.add_middleware(SecurityHeadersMiddleware, hsts_seconds=settings.hsts_seconds)
    app.add_middleware(AccessLogMiddleware, slow_seconds=settings.slow_request_seconds)
    app.add_middleware(RequestIdMiddleware)
