"""The service under test: its answers, its parts, and where its modules are."""

import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_GIVEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "service.json").read_text("utf-8"))
"""Written by runner.py beside the copy of these tests."""

DIRECTORY = Path(_GIVEN["directory"])
"""The root of the service."""

ANSWERS: dict[str, Any] = _GIVEN["answers"]
"""What the service was made with."""

COMMAND = Path(_GIVEN["command"])
"""The installed command of the service."""

PYTHON = Path(_GIVEN["python"])
"""The interpreter of the service's own environment, without what these tests add."""

PACKAGE = "order_service"

_MODULES = {
    "api_keys": ["api_keys", "services.api_keys"],
    "audit_log": ["audit", "services.audit"],
    "auth": ["core.security.tokens"],
    "aws": ["core.secrets.aws"],
    "celery": ["worker.celery_engine"],
    "conditional_writes": ["core.conditional_writes"],
    "data_tools": ["core.frames"],
    "database": ["core.database"],
    "http_client": ["core.http_client.client"],
    "idempotency_keys": ["core.idempotency"],
    "jobs": ["worker"],
    "metrics": ["core.metrics"],
    "processes": ["core.processes"],
    "rate_limits": ["core.rate_limits"],
    "read_cache": ["core.cache"],
    "redis": ["core.redis"],
    "sentry": ["core.error_reports"],
    "taskiq": ["worker.taskiq_engine"],
    "tracing": ["core.tracing"],
    "vault": ["core.secrets.vault"],
}
"""A service has a part if it has one of these modules."""


def _has_module(name: str) -> bool:
    try:
        return find_spec(f"{PACKAGE}.{name}") is not None
    except ModuleNotFoundError:
        return False


PARTS = {
    *(part for part, modules in _MODULES.items() if any(map(_has_module, modules))),
    *(["dashboards"] if (DIRECTORY / "monitoring").is_dir() else []),
    ANSWERS["layout"],
    ANSWERS["database"],
}
"""What the service has: the answers that name a part, and the modules that are there."""


def has(part: str) -> bool:
    """Return whether the service has a part; ``not redis`` asks for its absence."""
    known = {*_MODULES, "dashboards", "domain", "layered", "postgresql", "sqlite"}
    name = part.removeprefix("not ")
    if name not in known:
        message = f"No service has a part {name!r}; there are {', '.join(sorted(known))}."
        raise ValueError(message)
    return (name in PARTS) is not part.startswith("not ")


def feature_module(feature: str, role: str) -> Any:  # noqa: ANN401 - Its attributes depend on the role.
    """Import a module of a feature from where the service's layout has it.

    Args:
        feature: For example ``users``.
        role: For example ``models``; ``router`` is ``api`` in the layered layout.
    """
    if ANSWERS["layout"] == "domain":
        return import_module(f"{PACKAGE}.{feature}.{role}")
    layer = {"router": "api"}.get(role, role)
    for name in (layer, f"{layer}s", f"{layer.removesuffix('y')}ies"):
        if _has_module(name):
            return import_module(f"{PACKAGE}.{name}.{feature}")
    message = f"The service has no layer for {role}."
    raise LookupError(message)
