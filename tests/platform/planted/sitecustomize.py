# ruff: noqa: INP001 - Python imports this module by its name alone.
"""Adds routes and trials to the service that runs as a process, as its extras.py could.

Python imports this module before anything else, because serving.py puts its folder on
PYTHONPATH. PLANTED names what is broken from the start.
"""

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PLANTED = os.environ.get("PLANTED", "")


class ExtrasFinder(MetaPathFinder):
    """Extends the service's extras.py once it is imported, and costs nothing before."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Find the module as Python does, and patch it when it has run."""
        if name != "order_service.extras":
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec  # noqa: PLC0415 - Python has only just started.

        spec = find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        run = spec.loader.exec_module

        def run_and_extend(module: ModuleType) -> None:
            run(module)
            _extend(module)

        spec.loader.exec_module = run_and_extend  # type: ignore[method-assign]
        return spec


def _extend(extras: ModuleType) -> None:
    from tests.platform.planted_routes import add_routes  # noqa: PLC0415 - See above.

    extend = extras.extend

    def extend_with_routes(app: Any, settings: object) -> None:  # noqa: ANN401 - FastAPI's, not imported yet.
        extend(app, settings)
        add_routes(app, PLANTED)

    extras.extend = extend_with_routes  # type: ignore[attr-defined]


sys.meta_path.insert(0, ExtrasFinder())

if PLANTED == "broken server":
    import uvicorn

    def fail(*_: object, **__: object) -> None:
        credentials = "hunter2"
        message = f"planted, after {len(credentials)} letters"
        raise RuntimeError(message)

    uvicorn.Config = fail  # type: ignore[assignment, misc]
