"""The template's releases: past ones from the history, and a simulated next one."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import copier

from tests.answers import ROOT, Answers
from tests.commands import commit_all, run

UPDATE = ROOT / "extensions" / "update.py"
"""The command that updates a service without losing an edit."""

NEXT = "v999.0.0"
"""The simulated next release: the working tree with a few changes to it."""


def _git(*arguments: str) -> str:
    """Query this repository with git; a copy without a history returns nothing."""
    asked = subprocess.run(
        ["git", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _version(pyproject: str) -> str:
    """Read the version from a pyproject.toml."""
    version: str = tomllib.loads(pyproject)["project"]["version"]
    return version


def past_releases() -> dict[str, str]:
    """Find the commit of each version: the first whose pyproject.toml has it."""
    releases: dict[str, str] = {}
    for commit in _git("log", "--reverse", "--format=%H", "--", "pyproject.toml").split():
        pyproject = _git("show", f"{commit}:pyproject.toml")
        if pyproject:
            releases.setdefault(f"v{_version(pyproject)}", commit)
    return releases


def present_version() -> str:
    """Return the working tree's version: its own, or the next one if that is taken."""
    version = f"v{_version((ROOT / 'pyproject.toml').read_text('utf-8'))}"
    return f"{version}.post1" if version in past_releases() else version


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that must exist."""
    text = path.read_text("utf-8")
    assert old in text, f"{path} has no {old!r}."
    path.write_text(text.replace(old, new, 1), "utf-8")


def make_next_release(template: Path) -> None:
    """Change the template like a release: extend a file, add one, and extend a list."""
    files = template / "template"
    core = files / "src" / "{{ package_name }}" / "core"
    edit(core / "http" / "health.py", '"""', '"""Changed by the next release. ')
    (core / "novelty.py").write_text('"""New in the next release."""\n', "utf-8")
    edit(files / "justfile.jinja", "# Install the dep", "# Changed. Install the dep")
    edit(
        files / "pyproject.toml.jinja",
        "    # Your own development tools go below this line.",
        '    "pytest-timeout>=2.4",\n    # Your own development tools go below this line.',
    )
    edit(files / "pyproject.toml.jinja", "max-complexity = 8", "max-complexity = 9")
    # These are written once, so an existing service does not get the change.
    for name in ("README.md.jinja", "CHANGELOG.md", "LICENSE.jinja"):
        (files / name).write_text("Changed by the next release.\n", "utf-8")
    for name in ("extras.py", "settings.py"):
        edit(core.parent / name, '"""', '"""Changed by the next release. ')


def make_repository(folder: Path, template: Path) -> Path:
    """Build a repository with all releases: past ones, this tree, the next one."""
    repository = folder / "releases"
    past = past_releases()
    if past:
        run("git", "clone", "--quiet", "--no-local", ROOT, repository, cwd=folder)
        for tag in run("git", "tag", cwd=repository).split():
            run("git", "tag", "--delete", tag, cwd=repository)
        for tag, commit in past.items():
            run("git", "tag", tag, commit, cwd=repository)
        run("git", "rm", "-r", "--quiet", ".", cwd=repository)
    else:
        repository.mkdir()
        run("git", "init", "--quiet", cwd=repository)
    for path in template.iterdir():
        if path.name != ".git":
            run("cp", "-R", path, repository, cwd=folder)
    commit_all(repository, "The working tree")
    run("git", "tag", present_version(), cwd=repository)
    make_next_release(repository)
    commit_all(repository, "The next release")
    run("git", "tag", NEXT, cwd=repository)
    return repository


def copy_only(template: Path | str, service: Path, release: str, answers: Answers) -> Path:
    """Render a service from a release."""
    copier.run_copy(
        str(template), service, data=dict(answers), vcs_ref=release, defaults=True, quiet=True
    )
    return service


def copy(template: Path | str, service: Path, release: str, answers: Answers) -> Path:
    """Render a service from a release and commit it, as its owner does."""
    copy_only(template, service, release, answers)
    run("git", "init", "--quiet", cwd=service)
    commit_all(service, "A new service")
    return service


def update(service: Path, release: str, *options: str, status: int | None = 0) -> str:
    """Update a service with the command, without prompts; return its output."""
    defaults = ("--defaults", "--quiet", "--vcs-ref", release)
    return run(sys.executable, UPDATE, *defaults, *options, cwd=service, status=status)


def command_module() -> ModuleType:
    """Load the command as a module."""
    spec = importlib.util.spec_from_file_location("groundplan_update", UPDATE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look up their module in sys.modules.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def moves() -> Any:  # noqa: ANN401 - The class is in the module of the command.
    """Return the files that have moved or been removed since the first release."""
    manifest = (ROOT / "extensions" / "moves.toml").read_text("utf-8")
    return command_module().Moves(manifest, "", "order_service")


def contents(service: Path) -> dict[str, str]:
    """Read every file that belongs to a service."""
    return {
        path.relative_to(service).as_posix(): path.read_text("utf-8")
        for path in service.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(service).parts
    }


def assert_no_conflict(service: Path) -> None:
    """Assert that no conflict is left, neither in git nor in a file."""
    status = run("git", "status", "--porcelain", cwd=service)
    assert not [line for line in status.splitlines() if "U" in line[:2] or line.endswith(".rej")]
    for name, text in contents(service).items():
        assert "<<<<<<< " not in text, name
        assert ">>>>>>> " not in text, name
