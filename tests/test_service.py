"""Every variant passes its gate, and the platform tests of the code the template owns."""

import os
import sys
import tomllib
from pathlib import Path

import pytest

from tests.answers import (
    ALL_OFF,
    ALL_ON,
    LISTS,
    RUN,
    Answers,
    answers_of,
    choices,
    variant_name,
)
from tests.commands import run
from tests.conftest import Macros, Render
from tests.platform import runner
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


def covering(variants: dict[str, Answers]) -> set[str]:
    """Choose few variants in which what can be in core/ occurs with each layout and database."""

    def pairs(answers: Answers) -> set[tuple[str, str]]:
        has = {value for name in LISTS for value in answers[name]}
        has |= {answers[name] for name in ("auth", "cache", "jobs", "secrets")}
        places = [f"{name}={answers[name]}" for name in ("layout", "database")]
        return {(value, place) for place in places for value in has - IN_NO_FILE}

    missing = set().union(*map(pairs, variants.values()))
    chosen: set[str] = set()
    while missing:
        best = max(variants, key=lambda name: len(missing & pairs(variants[name])))
        chosen.add(best)
        missing -= pairs(variants[best])
    return chosen


IN_NO_FILE = {"none", "memory", "platform"}
"""The answers that leave something out of core/."""

PROVEN = set(VARIANTS) if os.environ.get("PLATFORM_TESTS") == "everywhere" else covering(VARIANTS)
"""The variants that the platform tests run in: all of them with PLATFORM_TESTS=everywhere."""

pytestmark = pytest.mark.slow


def run_gate(service: Path, python: Path) -> None:
    """Lock, install and check a service with one Python."""
    environment = {
        "UV_PYTHON": str(python),
        "UV_PYTHON_DOWNLOADS": "never",
        # Many processes start from this environment: they read compiled modules.
        "UV_COMPILE_BYTECODE": "1",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    # The failure is near the beginning of the output, because CI may cut off the rest.
    environment["PYTEST_ADDOPTS"] = "--quiet --tb=short --show-capture=no"
    # All services of a worker share mypy's cache of the libraries.
    environment["MYPY_CACHE_DIR"] = str(service.parent.parent / "mypy")
    run("uv", "lock", cwd=service, environment=environment)
    run("uv", "sync", "--locked", cwd=service, environment=environment)
    run("uv", "run", "--no-sync", "poe", "check", cwd=service, environment=environment)


def run_platform_tests(service: Path, python: Path) -> None:
    """Run the platform tests against an installed service."""
    environment = dict(
        os.environ,
        UV_PYTHON=str(python),
        UV_PYTHON_DOWNLOADS="never",
        PYTHONDONTWRITEBYTECODE="",
    )
    arguments = ["--quiet", "--tb=short", "--show-capture=no"]
    assert runner.run(service, arguments, environment) == 0, "Their report is above."


def check_types_of_platform_tests(service: Path, folder: Path) -> None:
    """Check the types of the platform tests in a service with nearly all parts installed."""
    root = runner.lay(service, folder)
    run(
        service / ".venv/bin/mypy", "--config-file", service / "pyproject.toml",
        # No service has all parts.
        "--disable-error-code", "import-not-found", "--no-warn-unused-ignores",
        "-p", "tests.platform",
        cwd=root,
        environment={"MYPYPATH": str(service / "src")},
    )  # fmt: skip


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


@pytest.mark.parametrize("name", VARIANTS, ids=list(VARIANTS))
def test_variant_passes_its_gate(
    project: Render, name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    answers = VARIANTS[name]
    service = project(answers)
    version = answers.get("python_version", "3.11")
    python = interpreter(version)

    if python is not None:
        run_gate(service, python)
        if name in PROVEN:
            run_platform_tests(service, python)
        if answers is VARIANTS["newest"]:
            check_types_of_platform_tests(service, tmp_path / "platform")
    else:
        with capsys.disabled():
            print(
                f"\nThere is no Python {version} here, and the service asks for it:"
                " its dependencies are resolved and its types checked, its tests do not run."
            )
        check_without_running(service, version)


def test_default_service_passes_on_newest_python(project: Render) -> None:
    python = interpreter(newest())
    assert python is not None

    service = project({})
    run_gate(service, python)
    run_platform_tests(service, python)


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
"""Prints every name that an installed distribution takes: its own, its modules' and commands'."""


TOOLS_OF_OTHERS: Answers = {
    **ALL_ON,
    "jobs": "taskiq",
    "secrets": "aws",
    "ci": "gitlab",
    "dependency_bot": "none",
}
"""Answers that install libraries, where the defaults install others."""


@pytest.mark.parametrize(
    "answers",
    [ALL_ON, TOOLS_OF_OTHERS, {"database": "sqlite"}],
    ids=["all-on", "others", "sqlite"],
)
def test_package_cannot_have_the_name_of_a_library(
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
