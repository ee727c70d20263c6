"""Whether the process lives, and whether it can do its work right now."""

from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Literal

import anyio
import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from ..about import DISTRIBUTION, VERSION
from .problems import problem_response, problem_responses

log = structlog.stdlib.get_logger(__name__)

PROBE_PATHS = frozenset({"/health", "/health/live", "/health/ready"})

Check = Callable[[], Awaitable[None]]

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    service: str = DISTRIBUTION
    version: str = VERSION


def _status_of(content: dict[str, Any]) -> Literal["ok", "degraded"]:
    results = content["checks"].values()
    return "ok" if all(result == "ok" for result in results) else "degraded"


class Readiness(BaseModel):
    """Everything the service cannot do without answers."""

    checks: dict[str, Literal["ok", "failed", "timeout"]]
    status: Literal["ok", "degraded"] = Field(default_factory=_status_of)


class ReadinessChecks:
    """The checks of everything a request may need, each with its own time limit."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        timeout_seconds: float,
        optional: AbstractSet[str] = frozenset(),
    ) -> None:
        """Take the checks by name; one raises when its system does not answer.

        Args:
            checks: The checks.
            timeout_seconds: How long each of them may take.
            optional: Those whose failure is reported, and keeps nobody from being
                served: without their systems the service works, only worse.
        """
        self._checks = checks
        self._timeout_seconds = timeout_seconds
        self._optional = optional

    def allow(self, results: Mapping[str, str]) -> bool:
        """Say whether the service can do its work with these results."""
        return all(
            result == "ok" or name in self._optional for name, result in results.items()
        )

    async def run(self) -> dict[str, str]:
        """Run all checks at once; the result of each is ``ok`` or what went wrong."""
        results: dict[str, str] = {}
        async with anyio.create_task_group() as group:
            for name, check in self._checks.items():
                group.start_soon(self._run_one, name, check, results)
        return dict(sorted(results.items()))

    async def _run_one(self, name: str, check: Check, results: dict[str, str]) -> None:
        results[name] = "timeout"
        with anyio.move_on_after(self._timeout_seconds):
            try:
                await check()
            # Any failure means "not ready"; which one it was is for the log alone,
            # because the text of a driver's error can name hosts and users.
            except Exception as error:  # noqa: BLE001
                log.warning(
                    "readiness_check_failed",
                    check=name,
                    error_type=type(error).__name__,
                )
                results[name] = "failed"
            else:
                results[name] = "ok"


@router.get("", summary="Is the process alive?")
@router.get("/live", summary="Is the process alive?")
async def read_liveness() -> Health:
    """Answer without asking anything else, so that a slow database restarts nobody."""
    return Health()


@router.get(
    "/ready",
    summary="Can the service do its work?",
    response_model=Readiness,
    responses=problem_responses(503),
)
async def read_readiness(request: Request) -> Readiness | JSONResponse:
    """Ask everything the service needs, each within its time limit."""
    readiness: ReadinessChecks = request.state["readiness"]
    checks = await readiness.run()
    if not readiness.allow(checks):
        return problem_response(
            request.scope,
            503,
            "A system this service needs does not answer.",
            code="not_ready",
            checks=checks,
        )
    return Readiness.model_validate({"checks": checks})
