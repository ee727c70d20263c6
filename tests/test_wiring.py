"""Explicit wiring: a missing line is reported, and an owner's line survives updates."""

import shutil
import sys
from pathlib import Path

import copier
import pytest

from tests.answers import Answers
from tests.commands import commit_all, run
from tests.conftest import Render
from tests.releases import edit

PACKAGE = Path("src/order_service")

JOBS: Answers = {"cache": "redis", "jobs": "taskiq"}

LISTS = {
    "router": "api.py",
    "models": "migrations/models.py",
    "commands": "cli.py",
    "jobs": "worker/handlers.py",
}
"""The file that lists the modules of each role, in the domain layout."""

FOLDERS = {"router": "api"}
"""The folder of a role in the layered layout, if it differs from the role's name."""


def plant(service: Path, layout: str, feature: str, role: str, text: str = "") -> str:
    """Add a module of a feature, and return its name within the package."""
    names = [feature, role] if layout == "domain" else [FOLDERS.get(role, role), feature]
    folder = service / PACKAGE / names[0]
    folder.mkdir(exist_ok=True)
    for path in (folder / "__init__.py", folder / f"{names[1]}.py"):
        if not path.exists():
            path.write_text("")
    (folder / f"{names[1]}.py").write_text(text)
    return ".".join(names)


@pytest.mark.parametrize("layout", ["domain", "layered"])
def test_unlisted_module_is_reported(project: Render, layout: str) -> None:
    service = project({**JOBS, "layout": layout})

    def check(status: int) -> str:
        # The test parses the source and imports none of it.
        options = ["-q", "-p", "no:cacheprovider", "--noconftest", "-c", "pytest.toml"]
        (service / "pytest.toml").write_text("[pytest]\n")
        test = service / "tests/test_wiring.py"
        return run(sys.executable, "-m", "pytest", *options, test, cwd=service, status=status)

    check(0)
    modules = {role: plant(service, layout, "orders", role) for role in LISTS}
    said = check(1)
    for role, module in modules.items():
        place = LISTS[role].replace("api.py", "api.py" if layout == "domain" else "api/__init__.py")
        assert f"Add order_service.{module} to {place}." in said


def test_update_merges_the_owners_lines(template: Path, tmp_path: Path) -> None:
    releases = tmp_path / "template"
    run("git", "clone", "--quiet", template, releases, cwd=tmp_path)
    run("git", "tag", "v1", cwd=releases)
    service = tmp_path / "service"
    copier.run_copy(str(releases), service, vcs_ref="v1", data=JOBS, defaults=True, quiet=True)
    run("git", "init", "--quiet", cwd=service)
    lines = {
        "api.py": ("from .orders.router import router as orders", "    add(orders)"),
        "cli.py": ("from .orders.commands import commands as orders", "app.add_typer(orders)"),
        "migrations/models.py": ("from ..orders.models import Order", None),
        "worker/handlers.py": ("from ..orders.jobs import jobs as orders", "            orders,"),
    }
    for name, (imported, used) in lines.items():
        path = service / PACKAGE / name
        text = path.read_text("utf-8")
        start, place, rest = text.partition(" below this line.\n")
        path.write_text(f"{start}{place}{imported}\n{rest}", "utf-8")
        if used:
            start, place, rest = path.read_text("utf-8").rpartition(" go below this line.\n")
            path.write_text(f"{start}{place}{used}\n{rest}", "utf-8")
    commit_all(service, "A feature of its own")
    # The next release adds a feature, right above the marked places.
    source = releases / "template/src/{{ package_name }}"
    for name, (imported, used) in lines.items():
        path = source / f"{name}.jinja"
        new = imported.replace("orders", "webhooks").replace("Order", "Webhook")
        edit(path, "\n# isort: split\n", f"{new}\n\n# isort: split\n")
        if used:
            start, marker, rest = path.read_text("utf-8").rpartition("# Your own")
            new = used.replace("orders", "webhooks").strip()
            indent = used[: -len(used.strip())]
            path.write_text(f"{start}{new}\n{indent}{marker}{rest}", "utf-8")
    commit_all(releases, "The next release")
    run("git", "tag", "v2", cwd=releases)

    copier.run_update(service, vcs_ref="v2", defaults=True, overwrite=True, quiet=True)

    for name, (imported, used) in lines.items():
        text = (service / PACKAGE / name).read_text("utf-8")
        assert "<<<<" not in text, text
        for line in filter(None, (imported, used)):
            assert f"{line}\n" in text
            assert line.replace("orders", "webhooks").replace("Order", "Webhook") in text


@pytest.fixture(scope="module", params=["domain", "layered"])
def linted(
    request: pytest.FixtureRequest, render: Render, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A service with import-linter, for each layout."""
    service = tmp_path_factory.mktemp("linted") / "service"
    shutil.copytree(render({"database": "sqlite", "layout": request.param}), service)
    run("uv", "sync", "--quiet", cwd=service)
    return request.param, service


FOLDERS_OF_ROLES = {"router": "api", "service": "services", "repository": "repositories"}

# The module that gets a line, and the contract that the line breaks.
FORBIDDEN = [
    ("orders.service", "from ..{router} import x", "Imports go one way"),
    ("orders.repository", "from ..{service} import x", "Imports go one way"),
    ("orders.models", "from ..{repository} import x", "Imports go one way"),
    ("orders.service", "from fastapi import Request", "know nothing of HTTP"),
    ("orders.repository", "import starlette", "know nothing of HTTP"),
    ("core.errors", "from ..{models} import x", "The core imports no feature"),
    ("core.errors", "import order_service_dev", "without its development package"),
    ("users.models", "from ..{models} import x", "Features import each other"),
]


@pytest.mark.slow
@pytest.mark.xdist_group("import contracts")
@pytest.mark.parametrize(("module", "line", "contract"), FORBIDDEN)
def test_import_against_the_direction_is_reported(
    linted: tuple[str, Path], tmp_path: Path, module: str, line: str, contract: str
) -> None:
    layout, original = linted
    service = shutil.copytree(original / "src", tmp_path / "service/src").parent
    shutil.copy(original / "pyproject.toml", service)

    def place(name: str) -> str:
        feature, role = name.split(".")
        if layout == "domain" or feature == "core":
            return name
        return f"{FOLDERS_OF_ROLES.get(role, role)}.{feature}"

    def write(name: str, text: str) -> None:
        file = service / PACKAGE / f"{place(name).replace('.', '/')}.py"
        file.parent.mkdir(exist_ok=True)
        (file.parent / "__init__.py").touch()
        with file.open("a", encoding="utf-8") as opened:
            opened.write(f"{text}\n")

    def lint(status: int) -> str:
        lint_imports = original / ".venv/bin/lint-imports"
        environment = {"PYTHONPATH": "src"}
        return run(
            lint_imports,
            "--no-logo",
            "--no-cache",
            cwd=service,
            environment=environment,
            status=status,
        )

    roles = ("router", "service", "repository", "models")
    for role in roles:
        write(f"orders.{role}", "")
    if contract.startswith("Features"):
        user = "..users" if layout == "domain" else ""
        write("orders.models", f"from {user}.{'models' if user else 'users'} import User")
    assert "0 broken" in lint(0)
    write(module, line.format(**{role: place(f"orders.{role}") for role in roles}))
    said = lint(1)
    # In the layered layout, an import against the direction is a circle, too.
    assert [row for row in said.splitlines() if "BROKEN" in row and contract in row]
