"""The template's releases: past ones out of history, and one that is yet to come."""

import subprocess
import tomllib
from pathlib import Path

from tests.answers import ROOT
from tests.commands import commit_all, run

NEXT = "v999.0.0"
"""The release that is yet to come: the working tree with a few changes to it."""


def _git(*arguments: str) -> str:
    """Ask this repository; a copy without a history answers nothing."""
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
    """Read the version out of a pyproject.toml."""
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
    """Name the working tree: its version, or what follows it when that is taken."""
    version = f"v{_version((ROOT / 'pyproject.toml').read_text('utf-8'))}"
    return f"{version}.post1" if version in past_releases() else version


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that has to be there."""
    text = path.read_text("utf-8")
    assert old in text, f"{path} has no {old!r}."
    path.write_text(text.replace(old, new, 1), "utf-8")


def make_next_release(template: Path) -> None:
    """Change the template as a release does: a file gains, one is new, a list grows."""
    files = template / "template"
    core = files / "src" / "{{ package_name }}" / "core"
    edit(core / "health.py", '"""', '"""Changed by the next release. ')
    (core / "novelty.py").write_text('"""New in the next release."""\n', "utf-8")
    edit(files / "justfile.jinja", "# Install everything", "# Changed. Install everything")
    edit(
        files / "pyproject.toml.jinja",
        "    # Your own development tools go below this line.",
        '    "pytest-timeout>=2.4",\n    # Your own development tools go below this line.',
    )
    edit(files / "pyproject.toml.jinja", "max-complexity = 8", "max-complexity = 9")
    # These are written once, so nobody who has them sees the change.
    for name in ("README.md.jinja", "CHANGELOG.md", "LICENSE.jinja"):
        (files / name).write_text("Changed by the next release.\n", "utf-8")
    for name in ("extras.py", "settings.py"):
        edit(core.parent / name, '"""', '"""Changed by the next release. ')


def make_repository(folder: Path, template: Path) -> Path:
    """Build a repository that has every release: past ones, this tree, the next one."""
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
