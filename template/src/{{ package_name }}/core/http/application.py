"""The application with everything that HTTP needs in every service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import structlog
from fastapi import FastAPI

from ..about import TITLE, VERSION
from ..lifespan import State, add_lifespan
from .docs import add_docs
from .etag import describe_conditional_reads
from .health import add_health
from .middleware import add_http_layers
from .problems import add_problem_handlers, describe_problems
from .settings import HttpSettings

log = structlog.stdlib.get_logger(__name__)


NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False}


class ProblemFastAPI(FastAPI):
    """FastAPI, with the service's errors in its documentation."""

    def openapi(self) -> dict[str, Any]:
        """Describe the API, once."""
        if self.openapi_schema is None:
            document = super().openapi()
            describe_problems(document)
            describe_conditional_reads(document)
        return super().openapi()


def create_http_app(
    settings: HttpSettings,
    **options: Any,  # noqa: ANN401 - they are for FastAPI
) -> FastAPI:
    """Create the application, without any route of the API."""
    # FastAPI would look for OpenTelemetry in each request.
    options.setdefault("telemetry", NO_TELEMETRY)
    app = ProblemFastAPI(
        title=TITLE,
        version=VERSION,
        # The documentation's pages are local ones, see docs.py.
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs_enabled else None,
        # A redirect would lose a body, and one spelling is enough for every path.
        redirect_slashes=False,
        **options,
    )
    if settings.docs_enabled:
        add_docs(app)
    add_problem_handlers(app)
    add_http_layers(app, settings)
    add_health(app, settings)

    add_lifespan(app, lambda: nullcontext({"settings": settings}))
    return app


def log_start_and_stop(app: FastAPI, settings: HttpSettings) -> None:
    """Log when everything that was added before is open, and before it is closed."""

    @asynccontextmanager
    async def logged() -> AsyncIterator[State]:
        log.info("service_started", environment=settings.environment)
        yield {}
        log.info("service_stopped")

    add_lifespan(app, logged)
