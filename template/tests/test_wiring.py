"""Every feature's router, tables, commands and jobs are in use."""

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

PACKAGE = next((Path(__file__).parents[1] / "src").glob("*/main.py")).parent

WIRING = {
    "router": ("api", ["api.py", "api/__init__.py"]),
    "models": ("models", ["migrations/models.py"]),
    "commands": ("commands", ["cli.py"]),
    "jobs": ("jobs", ["worker/handlers.py"]),
}
"""The role of a module, its folder in the layered layout, and where it is listed."""


@pytest.mark.parametrize("role", WIRING)
def test_every_module_of_a_feature_is_listed(role: str) -> None:
    layer, names = WIRING[role]
    lists = [PACKAGE / name for name in names if (PACKAGE / name).exists()]
    listed = {name for path in lists for name in imported_by(path)}
    features = {*PACKAGE.glob(f"*/{role}.py"), *PACKAGE.glob(f"{layer}/[!_]*.py")}
    modules = {module_name(path) for path in features.difference(lists)}
    # Without a database, models are no tables, and nothing lists them.
    missing = sorted(modules - listed) if lists else []

    # What is imported there and not used, the linter reports.
    assert not missing, f"Add {', '.join(missing)} to {lists[0].relative_to(PACKAGE)}."


def module_name(path: Path) -> str:
    """Return the name by which a file of the package is imported."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def imported_by(path: Path) -> Iterator[str]:
    """Name what a module imports: modules and what is in them."""
    package = module_name(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
