"""Every variant runs its own whole gate: linters, types, contracts, tests."""

import sys
import tomllib
from pathlib import Path

import pytest

from tests.answers import ALL_OFF, ALL_ON, RUN, Answers, answers_of, choices, variant_name
from tests.commands import run
from tests.conftest import Macros, Render
from tests.pythons import interpreter, newest
from tests.test_questions import HOSTILE_NAMES

HOSTILE: Answers = {
    "project_name": HOSTILE_NAMES[0],
    "description": HOSTILE_NAMES[2],
    "author_name": HOSTILE_NAMES[1],
    "package_name": "a" * 24,
}
"""Text that breaks quotes, and the longest name: one of the variants runs with it."""

WITH_MOST = next(row for row in RUN if (row["layout"], row["auth"]) == ("layered", "jwt"))

VARIANTS: dict[str, Answers] = {
    "all-off": ALL_OFF,
    **{variant_name(row): answers_of(row) for row in RUN if row is not WITH_MOST},
    "hostile": {**answers_of(WITH_MOST), **HOSTILE},
    "newest": {**ALL_ON, "python_version": choices("python_version")[-1]},
}

pytestmark = pytest.mark.slow


def run_gate(service: Path, python: Path) -> None:
    """Lock, install and check a service with one Python."""
    environment = {"UV_PYTHON": str(python), "UV_PYTHON_DOWNLOADS": "never"}
    # What failed is near the beginning of what it prints, because CI may cut off the rest.
    environment["PYTEST_ADDOPTS"] = "--quiet --tb=short --show-capture=no"
    # The stubs of the libraries are read once for all services of a worker.
    environment["MYPY_CACHE_DIR"] = str(service.parent.parent / "mypy")
    run("uv", "lock", cwd=service, environment=environment)
    run("uv", "sync", "--locked", cwd=service, environment=environment)
    run("uv", "run", "--no-sync", "poe", "check", cwd=service, environment=environment)


def check_without_running(service: Path, version: str) -> None:
    """Resolve for a Python this machine lacks, and check the types for it."""
    locked = service / "locked.txt"
    run(
        "uv", "pip", "compile", "pyproject.toml", "--group", "dev", "--python-version", version,
        "--universal", "--quiet", "--output-file", locked,
        cwd=service,
    )  # fmt: skip
    run("uv", "venv", "--quiet", "--python", interpreter(newest()) or sys.executable, cwd=service)
    run("uv", "pip", "install", "--quiet", "--requirements", locked, cwd=service)
    run(
        service / ".venv/bin/mypy", "--python-version", version,
        cwd=service,
        environment={"MYPYPATH": "src"},
    )  # fmt: skip


@pytest.mark.parametrize("answers", VARIANTS.values(), ids=VARIANTS.keys())
def test_its_own_gate_passes(
    project: Render, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    service = project(answers)
    version = answers.get("python_version", "3.11")
    python = interpreter(version)

    if python is not None:
        run_gate(service, python)
    else:
        with capsys.disabled():
            print(
                f"\nThere is no Python {version} here, and the service asks for it:"
                " its dependencies are resolved and its types checked, its tests do not run."
            )
        check_without_running(service, version)


def test_the_defaults_pass_on_the_newest_python(project: Render) -> None:
    python = interpreter(newest())
    assert python is not None

    run_gate(project({}), python)


INSTALLED = """
import re
from importlib.metadata import distributions
from pathlib import Path
import sys

names = {path.name for path in Path(sys.executable).parent.iterdir()}
for distribution in distributions():
    names.add(distribution.name)
    names.update(entry.name for entry in distribution.entry_points.select(group="console_scripts"))
    for file in distribution.files or []:
        if file.suffix in {".py", ".so"} and not file.parts[0].startswith(".."):
            names.add(file.parts[0].split(".")[0])
print("\\n".join(name.lower().replace("-", "_") for name in names))
"""
"""Prints every name that an installed distribution takes: its own, its modules', its commands'."""


TOOLS_OF_OTHERS: Answers = {
    **ALL_ON,
    "jobs": "taskiq",
    "secrets": "aws",
    "ci": "gitlab",
    "dependency_bot": "none",
}
"""What brings libraries where everything else brings others."""


@pytest.mark.parametrize(
    "answers",
    [ALL_ON, TOOLS_OF_OTHERS, {"database": "sqlite"}],
    ids=["all-on", "others", "sqlite"],
)
def test_no_package_can_have_the_name_of_a_library(
    project: Render, macros: Macros, answers: Answers
) -> None:
    service = project(answers)
    run("uv", "sync", "--quiet", "--all-groups", cwd=service)
    taken = set(run(service / ".venv/bin/python", "-c", INSTALLED, cwd=service).split())
    locked = tomllib.loads((service / "uv.lock").read_text("utf-8"))["package"]
    taken |= {package["name"].replace("-", "_") for package in locked}

    names = macros("names")
    accepted = {name for name in taken if not names.package_name_problem(name)}
    assert accepted == {"order_service"}, "extensions/macros/names.jinja lacks these."
