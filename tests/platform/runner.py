"""Copies the platform tests beside a service, and runs them in its environment."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent

OWN = {"__main__.py", "runner.py"}
"""What runs here, in this repository's environment."""

ALWAYS = ["pytest-xdist>=3.8"]
PARTS = {
    "monitoring": ["promql-parser>=0.11", "pyyaml>=6.0.3"],
    "src/*/core/secrets/aws.py": ["moto[secretsmanager]>=5.2"],
}
"""What only these tests need, by the files of a service that they test."""


class NotAServiceError(RuntimeError):
    """The path holds no service of this template."""


def answers_of(service: Path) -> dict[str, Any]:
    """Read what a service was made with.

    Raises:
        NotAServiceError: the path holds no service of this template.
    """
    file = service / ".copier-answers.yml"
    if not file.is_file():
        message = f"{service} is not a service of this template: it has no {file.name}."
        raise NotAServiceError(message)
    answers = yaml.safe_load(file.read_text("utf-8"))
    if not isinstance(answers, dict) or "package_name" not in answers:
        message = f"{file} does not name the package of a service."
        raise NotAServiceError(message)
    return answers


def lay(service: Path, folder: Path) -> Path:
    """Copy the tests into a folder, for the package of this service, and return its root."""
    answers = answers_of(service)
    package = answers["package_name"]
    command = next(iter(_project(service).get("scripts", {})), package.replace("_", "-"))
    copy = folder / "tests/platform"
    shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns("__pycache__", *OWN))
    (folder / "tests/__init__.py").touch()
    for file in copy.rglob("*.py"):
        text = file.read_text("utf-8")
        text = text.replace("order_service", package).replace("order-service", command)
        file.write_text(text, "utf-8")
    binaries = _environment(service) / ("Scripts" if sys.platform == "win32" else "bin")
    given = {
        "directory": str(service),
        "answers": answers,
        "command": str(binaries / command),
        "python": str(binaries / "python"),
    }
    (folder / "service.json").write_text(json.dumps(given), "utf-8")
    return folder


def run(
    service: Path,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> int:
    """Run the tests against a service, and return the exit status of pytest.

    Args:
        service: The root of the service; its lock file decides what it runs with.
        arguments: For pytest; paths are below ``tests/platform``.
        environment: In place of this process's environment.
        folder: Where the copy goes; a temporary folder if not given.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return run(service, arguments, environment, Path(temporary))
    service = service.resolve()
    root = lay(service, folder)
    extra = [*ALWAYS]
    for part, needed in PARTS.items():
        extra += needed if any(service.glob(part)) else []
    here = root / "tests/platform"
    chosen = [
        each
        for each in arguments
        # An absolute path is the value of an option, such as --basetemp.
        if (path := here / each.partition("::")[0]).exists() and path.is_relative_to(here)
    ]
    command = [
        "uv", "run", "--quiet", "--project", str(service),
        *(f"--with={name}" for name in extra),
        "pytest", "-c", str(here / "pytest.toml"), "--rootdir", str(root),
        *(each for each in arguments if each not in chosen),
        *(str(here / each) for each in chosen or ["."]),
    ]  # fmt: skip
    completed = subprocess.run(command, cwd=root, env=environment or _clean(), check=False)
    return completed.returncode


def _project(service: Path) -> dict[str, Any]:
    document = tomllib.loads((service / "pyproject.toml").read_text("utf-8"))
    project: dict[str, Any] = document["project"]
    return project


def _environment(service: Path) -> Path:
    return service / os.environ.get("UV_PROJECT_ENVIRONMENT", ".venv")


def _clean() -> dict[str, str]:
    # The environment that runs this command must not shine through to the service.
    return {name: text for name, text in os.environ.items() if name != "VIRTUAL_ENV"}
