"""Probes: whether the process is alive, and whether it can do its work now."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import anyio
import structlog
from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ..about import DISTRIBUTION, VERSION
from .problems import problem_response, problem_responses
from .settings import HttpSettings

log = structlog.stdlib.get_logger(__name__)

PROBE_PATHS = frozenset({"/health", "/health/live", "/health/ready"})
METRICS_PATH = "/metrics"
"""Requested every few seconds, by machines."""

Check = Callable[[], Awaitable[None]]


class PlainRoute(APIRoute):
    """A route without parameters, for which FastAPI has nothing to prepare."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response that the endpoint returns."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        response: Response = await self.endpoint()
        await response(scope, receive, send)


class Health(BaseModel):
    """The process responds."""

    status: Literal["ok"] = "ok"
    service: str = DISTRIBUTION
    version: str = VERSION


class Readiness(BaseModel):
    """Every system that the service cannot do without responds."""

    checks: dict[str, Literal["ok", "failed", "timeout"]]
    status: Literal["ok", "degraded"] = Field(
        default_factory=lambda content: (
            "ok" if set(content["checks"].values()) <= {"ok"} else "degraded"
        )
    )


@dataclass
class ReadinessChecks:
    """The checks by name; one raises when its system does not respond."""

    checks: dict[str, Check]
    timeout_seconds: float
    optional: set[str] = field(default_factory=set)
    """Their failure is reported and leaves the service ready, with less to offer."""

    def allow(self, results: Mapping[str, str]) -> bool:
        """Return whether the service can do its work with these results."""
        failed = {name for name, result in results.items() if result != "ok"}
        return failed <= self.optional

    async def run(self) -> dict[str, str]:
        """Run all checks at once; the result of each is ``ok`` or what went wrong."""
        results: dict[str, str] = {}
        async with anyio.create_task_group() as group:
            for name, check in self.checks.items():
                group.start_soon(self._run_one, name, check, results)
        return dict(sorted(results.items()))

    async def _run_one(self, name: str, check: Check, results: dict[str, str]) -> None:
        results[name] = "timeout"
        with anyio.move_on_after(self.timeout_seconds):
            try:
                await check()
                results[name] = "ok"
            # Any failure means "not ready"; which one it was is for the log alone,
            # because the text of a driver's error can name hosts and users.
            except Exception as error:  # noqa: BLE001
                results[name] = "failed"
                kind = type(error).__name__
                log.warning("readiness_check_failed", check=name, error_type=kind)


def add_health(app: FastAPI, settings: HttpSettings) -> None:
    """Serve the probes; capabilities add their checks afterwards."""
    app.state.readiness = ReadinessChecks({}, settings.health_check_seconds)
    for path in ("/health/live", "/health"):
        app.router.add_api_route(
            path,
            read_liveness,
            summary="Is the process alive?",
            response_model=Health,
            tags=["health"],
            route_class_override=PlainRoute,
        )
    app.router.add_api_route(
        "/health/ready",
        read_readiness,
        summary="Can the service do its work?",
        response_model=Readiness,
        responses=problem_responses(503),
        tags=["health"],
    )


def add_readiness_check(
    app: FastAPI, name: str, check: Check, *, is_optional: bool = False
) -> None:
    """Have the readiness probe check a system; the last call for a name decides."""
    readiness: ReadinessChecks = app.state.readiness
    readiness.checks[name] = check
    readiness.optional.discard(name)
    if is_optional:
        readiness.optional.add(name)


ALIVE = Health().model_dump_json()


async def read_liveness() -> Response:
    """Respond without a check, so that a slow database causes no restarts."""
    return Response(ALIVE, media_type="application/json")


async def read_readiness(request: Request) -> Readiness | JSONResponse:
    """Check every system that the service needs, each within its timeout."""
    readiness: ReadinessChecks = request.app.state.readiness
    checks = await readiness.run()
    if not readiness.allow(checks):
        return problem_response(
            request.scope,
            503,
            "A system this service needs does not respond.",
            code="not_ready",
            checks=checks,
        )
    return Readiness.model_validate({"checks": checks})
