"""Leaves out the tests of parts that a service does not have, and counts them.

A test declares what it needs. A module (or a folder, in its ``__init__.py``) does so with
``NEEDS = {"redis", "metrics"}``, which is read without importing it: what it imports may be
missing. One test does so with ``@pytest.mark.needs("redis")``. ``not redis`` needs absence.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .service import has

_ROOT = Path(__file__).parent

_left_out: Counter[str] = Counter()
"""How many tests need what the service lacks."""


def _declared(file: Path) -> set[str]:
    if not file.is_file():
        return set()
    for node in ast.parse(file.read_text("utf-8")).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "NEEDS"
        ):
            return set(ast.literal_eval(node.value))
    return set()


def _needs_of(file: Path) -> set[str]:
    folders = [folder for folder in file.parents if folder.is_relative_to(_ROOT)]
    return _declared(file).union(*(_declared(folder / "__init__.py") for folder in folders))


def _lacking(needs: set[str]) -> str:
    return ", ".join(sorted(need for need in needs if not has(need)))


def _tests_in(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if name.startswith("test_"):
                    yield name


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Do not import a module whose needs the service does not meet."""
    if collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    lacking = _lacking(_needs_of(collection_path))
    if not lacking:
        return None
    _left_out[lacking] += len(list(_tests_in(collection_path)))
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect single tests whose needs the service does not meet."""
    selected: list[pytest.Item] = []
    deselected: list[pytest.Item] = []
    for item in items:
        needs = {need for mark in item.iter_markers("needs") for need in mark.args}
        if lacking := _lacking(needs):
            _left_out[lacking] += 1
            deselected.append(item)
        else:
            selected.append(item)
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = selected


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the counts of a worker of pytest-xdist to the process that prints them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(_left_out)


class FromWorkers:
    """Takes the counts from the workers of pytest-xdist."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - pytest-xdist is optional.
        """Every worker collects all tests, so any of them has all counts."""
        _left_out.clear()
        _left_out.update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_configure(config: pytest.Config) -> None:
    """Listen to workers."""
    config.pluginmanager.register(FromWorkers())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was left out, and why."""
    if not _left_out:
        return
    total = sum(_left_out.values())
    terminalreporter.section(f"{total} tests are not for this service")
    for lacking, count in _left_out.most_common():
        terminalreporter.line(f"{count:4} need: {lacking}")
