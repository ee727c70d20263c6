"""Files that a release moves or removes: each is declared, and no edit in one is lost."""

import ast
import json
import re
import shutil
import sys
from pathlib import Path

import copier
import pytest
import yaml

from tests.answers import ALL_OFF, ALL_ON, ROOT, Answers
from tests.commands import commit_all, run
from tests.releases import (
    NEXT,
    command_module,
    contents,
    copy,
    copy_only,
    edit,
    moves,
    past_releases,
    present_version,
    update,
)

pytestmark = [pytest.mark.slow, pytest.mark.update]

PAST = [
    release
    for release, commit in past_releases().items()
    if "extensions/moves.toml" not in run("git", "ls-tree", "-r", "--name-only", commit, cwd=ROOT)
]
"""The releases before the moves: newer ones have a manifest."""

SETS: dict[str, Answers] = {
    "defaults": {},
    "domain-all-on": ALL_ON,
    "layered-all-on": {
        **ALL_ON,
        "layout": "layered",
        "jobs": "taskiq",
        "secrets": "aws",
        "ci": "gitlab",
        "dependency_bot": "none",
        "kubernetes": False,
        "proxy": "traefik",
    },
    "layered-sqlite": {
        "layout": "layered",
        "database": "sqlite",
        "proxy": "nginx",
        "dependency_bot": "dependabot",
    },
    "all-off": ALL_OFF,
}
"""Between them, they render every file of the template."""

PACKAGE = "src/order_service"


def known_to(release: str, answers: Answers) -> Answers:
    """Leave out the answers to what a release does not ask."""
    shown = run("git", "show", f"{past_releases()[release]}:copier.yml", cwd=ROOT)
    return {name: answer for name, answer in answers.items() if name in yaml.safe_load(shown)}


def files(folder: Path) -> set[str]:
    """List the files of a service."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


# WHAT IS DECLARED -------------------------------------------------------------


@pytest.fixture(scope="session")
def changes(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, ...]]:
    """What services have at each past release, and with the same answers now."""
    found = []
    for release in PAST:
        for name, answers in SETS.items():
            # The template knows by this name that no plain update loses an edit here.
            folder = tmp_path_factory.mktemp("groundplan-update-") / "service"
            copy_only(releases, folder, release, known_to(release, answers))
            before = files(folder)
            for path in before - {".copier-answers.yml"}:
                (folder / path).unlink()
            copier.run_recopy(
                folder, vcs_ref=present_version(), defaults=True, overwrite=True, quiet=True
            )
            after = files(folder)
            found.append((f"{release} {name}", *map(json.dumps, map(sorted, (before, after)))))
    return found


def trees(change: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """Read the files before and after."""
    return set(json.loads(change[1])), set(json.loads(change[2]))


@pytest.mark.xdist_group("moves")
def test_each_moved_or_removed_file_is_declared(changes: list[tuple[str, ...]]) -> None:
    declared = moves()
    undeclared: dict[str, list[str]] = {}
    for change in changes:
        before, after = trees(change)
        for path in sorted(before - after):
            if not declared.targets(path, after) and not declared.reason(path):
                undeclared.setdefault(path, []).append(change[0])
    lines = [f"{path} (in {', '.join(where)})" for path, where in undeclared.items()]
    assert not lines, "Declare these in extensions/moves.toml:\n" + "\n".join(lines)


@pytest.mark.xdist_group("moves")
def test_nothing_is_declared_in_vain(changes: list[tuple[str, ...]]) -> None:
    declared = moves()
    every = [trees(change) for change in changes]
    before = set().union(*(old for old, _ in every))
    after = set().union(*(new for _, new in every))
    gone = set().union(*(old - new for old, new in every))

    vain = [
        f"{old}: no release has it, or it is still there"
        for moved in declared.moved
        for old in moved
        if old not in gone
    ]
    vain += [
        f"{new}: it does not exist"
        for moved in declared.moved[-1:]
        for targets in moved.values()
        for new in targets
        if new not in after
    ]
    match = command_module().fnmatchcase
    vain += [
        f"{pattern}: no release has it, or it is still there"
        for pattern in declared.removed
        if not any(match(path, pattern) for path in gone)
    ]
    vain += [f"{path}: no release has it" for path in declared.merged if path not in before]
    assert not vain, "\n".join(vain)


# WHAT AN OWNER EDITED ---------------------------------------------------------


def mark_every_file(service: Path) -> dict[str, list[str]]:
    """Edit the beginning and the end of each file, so that each edit can be found again."""
    marks = {}
    for number, name in enumerate(sorted(files(service) - {".copier-answers.yml"})):
        path = service / name
        lines = path.read_text("utf-8").splitlines(keepends=True) or ["\n"]
        marks[name] = [f"begin{number}mine", f"end{number}mine"]
        first = lines[0].rstrip("\n")
        if name.endswith(".py") and first.startswith('"""'):
            lines[0] = f'"""{marks[name][0]} {first[3:]}\n'
        else:
            lines.insert(0, f"# {marks[name][0]}\n")
        lines.append(f"# {marks[name][1]}\n")
        path.write_text("".join(lines), "utf-8")
    return marks


def first_names(source: str) -> list[str]:
    """List what a module defines."""
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]


def add_a_feature(package: Path) -> list[str]:
    """Import from every module of core, in a feature; return the names."""
    lines = ['"""Uses all of core."""', ""]
    names: list[str] = []
    for path in sorted((package / "core").glob("*.py")):
        for name in first_names(path.read_text("utf-8")):
            lines.append(f"from ..core.{path.stem} import {name} as n{len(names)}")
            lines.append(f"from order_service.core.{path.stem} import {name} as m{len(names)}")
            names.append(name)
    # What names a module in a text is not rewritten, but reported.
    lines.append('PATCHED = "order_service.core.problems.UnexpectedErrorMiddleware"')
    (package / "orders").mkdir()
    (package / "orders" / "service.py").write_text("\n".join(lines) + "\n", "utf-8")
    return names


@pytest.mark.parametrize(
    ("release", "answers"),
    [(release, "domain-all-on") for release in PAST]
    # A copy of this repository without its history knows no past release.
    + [(release, "layered-all-on") for release in PAST[:1] + PAST[-1:]],
)
def test_no_edit_is_lost(releases: Path, tmp_path: Path, release: str, answers: str) -> None:
    service = copy(releases, tmp_path / "service", release, known_to(release, SETS[answers]))
    names = add_a_feature(service / PACKAGE)
    own = f"{PACKAGE}/orders/service.py"
    feature = (service / own).read_text("utf-8")
    marks = mark_every_file(service)
    # The feature is not edited: it has no other version.
    del marks[own]
    (service / own).write_text(feature, "utf-8")
    commit_all(service, "An edit in each file, and a feature")

    said = update(service, present_version(), status=3)

    now = contents(service)
    assert_every_mark_is_there(marks, now, said)
    assert_conflicts_are_named(service, now, said)
    assert_imports_work(names, now, said)


def assert_every_mark_is_there(marks: dict[str, list[str]], now: dict[str, str], said: str) -> None:
    """Each edit is in its file, or where that went; one that left its place is named."""
    declared = moves()
    for name, (first, last) in marks.items():
        places = [path for path in [name, *declared.targets(name, now)] if path in now]
        for mark in (first, last):
            found = [path for path in places if mark in now[path]]
            assert found, f"The edit {mark} of {name} is in none of {places}."
        if name not in now:
            assert f"\n  {name}\n" in said


def assert_conflicts_are_named(service: Path, now: dict[str, str], said: str) -> None:
    """Each file that is left to settle is named, and git knows it."""
    status = run("git", "status", "--porcelain", "-z", cwd=service).split("\0")
    unmerged = {line[3:] for line in status if line[:2] in ("UU", "UD", "AA", "DU")}
    for name in unmerged:
        assert f"\n  {name}\n" in said, name
    marked = {name for name, text in now.items() if "<<<<<<< before updating" in text}
    assert marked <= unmerged


def assert_imports_work(names: list[str], now: dict[str, str], said: str) -> None:
    """The feature imports what it did before, or the report says what is not there."""
    own = f"{PACKAGE}/orders/service.py"
    assert f"\n  {own}\n" in said.partition("imports were rewritten")[2] + "\n"
    # In a conflict, the release's side is what the feature will import from.
    conflict = r"(?ms)^<<<<<<< before updating\n.*?^=======\n(.*?)^>>>>>>> after updating\n"
    settled = {name: re.sub(conflict, r"\1", text).encode() for name, text in now.items()}
    modules = command_module().Modules(settled)
    body = ast.parse(now[own]).body
    statements = [node for node in body if isinstance(node, ast.ImportFrom)]
    assert [alias.name for node in statements[::2] for alias in node.names] == names
    assert len(statements) == 2 * len(names) > 60
    for node in statements:
        module = f"order_service.{node.module}" if node.level else str(node.module)
        if not modules.provides(module, node.names[0].name):
            assert f"{own}:{node.lineno}: from " in said, ast.unparse(node)
    assert f'{own}:{body[-1].lineno}: "order_service.core.problems.' in said


def test_an_own_feature_runs_after_the_update(releases: Path, tmp_path: Path) -> None:
    service = copy(releases, tmp_path / "service", "v0.4.0", {"database": "sqlite"})
    package = service / PACKAGE
    (package / "orders").mkdir()
    (package / "orders" / "__init__.py").write_text('"""Orders."""\n', "utf-8")
    (package / "orders" / "models.py").write_text(
        '"""The table of orders."""\n\n'
        "from sqlalchemy.orm import Mapped\n\n"
        "from ..core.database import Base, Record, UtcDateTime, own_default\n"
        "from ..core import problems\n\n\n"
        "class Order(Record, Base):\n"
        '    """An order."""\n\n'
        '    __tablename__ = "orders"\n\n'
        "    number: Mapped[int]\n\n\n"
        "USED = (UtcDateTime, own_default(), problems.Problem)\n",
        "utf-8",
    )
    with (package / "core" / "database.py").open("a", encoding="utf-8") as core:
        core.write('\n\ndef own_default() -> str:\n    """Return ours."""\n    return "own"\n')
    commit_all(service, "A feature of one's own")

    update(service, present_version())

    run("uv", "sync", "--quiet", cwd=service)
    use = "from order_service.orders.models import USED; assert USED[1] == 'own'"
    run("uv", "run", "--no-sync", "python", "-c", use, cwd=service)


# WHAT IS REFUSED AND REPORTED -------------------------------------------------


@pytest.fixture(scope="module")
def small(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small service at the newest past release; it is shared, so only read it."""
    folder = tmp_path_factory.mktemp("small") / "service"
    return copy(releases, folder, PAST[-1], known_to(PAST[-1], ALL_OFF))


@pytest.fixture
def service(small: Path, tmp_path: Path) -> Path:
    """A small service at the newest past release."""
    return shutil.copytree(small, tmp_path / "service")


def assert_refused(service: Path, reason: str, *options: str) -> None:
    """The command ends with a sentence, and nothing has changed."""
    before = contents(service)
    status = run("git", "status", "--porcelain", cwd=service)

    said = update(service, present_version(), *options, status=1)

    assert said.splitlines()[-1].startswith("Not updated: ")
    assert reason in said
    assert contents(service) == before
    assert run("git", "status", "--porcelain", cwd=service) == status
    assert len(run("git", "worktree", "list", cwd=service).splitlines()) == 1


def test_a_plain_update_past_the_moves_is_refused(service: Path) -> None:
    copier_command = (sys.executable, "-m", "copier", "update", "--defaults")

    said = run(*copier_command, "--vcs-ref", present_version(), cwd=service, status=1)

    assert "run extensions/update.py of the template instead" in said
    assert not run("git", "status", "--porcelain", cwd=service)


def test_a_package_is_not_renamed(service: Path) -> None:
    assert_refused(service, "package_name: it is chosen once", "--data", "package_name=shop")


def test_the_layout_is_not_changed(service: Path) -> None:
    before = contents(service)

    said = update(service, present_version(), "--data", "layout=layered", status=1)

    assert "this one stays domain" in said
    assert contents(service) == before


def test_local_changes_are_refused(service: Path) -> None:
    (service / "mine.txt").write_text("Not committed.\n", "utf-8")

    assert_refused(service, "commit or stash your local changes first")


def test_another_template_is_refused(service: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "copier.yml").write_text("_subdirectory: template\n", "utf-8")
    run("git", "init", "--quiet", cwd=other)
    commit_all(other, "Another template")
    run("git", "tag", PAST[-1], cwd=other)
    run("git", "tag", present_version(), "--force", cwd=other)
    answers = yaml.safe_load((service / ".copier-answers.yml").read_text("utf-8"))
    edit(service / ".copier-answers.yml", answers["_src_path"], str(other))
    commit_all(service, "Another address")

    assert_refused(service, f"{other}, the _src_path in .copier-answers.yml, is not Groundplan")


def test_a_release_of_another_repository_is_refused(service: Path) -> None:
    edit(service / ".copier-answers.yml", f"_commit: {PAST[-1]}", "_commit: v77.0.0")
    commit_all(service, "Another release")

    assert_refused(service, "has no release v77.0.0")


def test_an_ignored_file_stays_and_the_new_one_is_beside_it(releases: Path, tmp_path: Path) -> None:
    service = copy(releases, tmp_path / "service", present_version(), {})
    edit(service / ".gitignore", "\n", "\n/justfile\n")
    run("git", "rm", "--quiet", "--cached", "justfile", cwd=service)
    commit_all(service, "A justfile of one's own")
    (service / "justfile").write_text("mine:\n", "utf-8")

    said = update(service, NEXT, status=3)

    assert (service / "justfile").read_text("utf-8") == "mine:\n"
    assert "# Changed. Install" in (service / "justfile.from-template").read_text("utf-8")
    assert "  justfile\n    justfile.from-template\n" in said


def test_conflicts_are_named(releases: Path, tmp_path: Path) -> None:
    service = copy(releases, tmp_path / "service", present_version(), {})
    edit(service / "pyproject.toml", "max-complexity = 8", "max-complexity = 7")
    edit(service / PACKAGE / "core" / "http" / "health.py", '"""', '"""Mine. ')
    commit_all(service, "My own work")

    said = update(service, NEXT, status=3)

    named = said.partition("Conflicts")[2].partition("\n\n")[0]
    assert named.splitlines()[1:] == [
        "  pyproject.toml",
        f"  {PACKAGE}/core/http/health.py",
    ]
    assert run("git", "diff", "--name-only", "--diff-filter=U", cwd=service).splitlines() == [
        "pyproject.toml",
        f"{PACKAGE}/core/http/health.py",
    ]


def test_a_service_in_a_folder_of_a_repository(releases: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    service = copy_only(
        releases, repository / "services" / "orders", PAST[-1], known_to(PAST[-1], ALL_OFF)
    )
    (repository / "README.md").write_text("Everything.\n", "utf-8")
    edit(service / PACKAGE / "core" / "problems.py", '"""', '"""Mine. ')
    edit(service / "pyproject.toml", "max-complexity = 8", "max-complexity = 7")
    run("git", "init", "--quiet", cwd=repository)
    commit_all(repository, "Everything")

    said = update(service, NEXT, status=3)

    moved = f"{PACKAGE}/core/http/problems.py"
    assert f"  {PACKAGE}/core/problems.py\n    {moved}\n" in said
    assert "Mine. " in (service / moved).read_text("utf-8")
    unmerged = run("git", "diff", "--name-only", "--diff-filter=U", cwd=repository)
    assert "services/orders/pyproject.toml" in unmerged.splitlines()
