"""The documentation site: complete, strict, and without content from other hosts."""

import json
import re
import shutil
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.answers import ALL_OFF, ALL_ON, Answers
from tests.commands import run
from tests.conftest import Render
from tests.releases import edit
from tests.test_render import files

WITH_SITE: Answers = ALL_ON
BARE: Answers = {**ALL_OFF, "layout": "layered", "docs_site": True}

slow = pytest.mark.slow
together = pytest.mark.xdist_group("docs-site")


def build(service: Path, status: int = 0) -> str:
    """Build the site like the service's developers do."""
    said = run("uv", "run", "--quiet", "poe", "docs", cwd=service, status=status)
    return re.sub(r"\x1b\[[0-9;]*m", "", said)


@pytest.fixture(scope="module")
def built(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service with a built site; a test that breaks something in it restores it."""
    service = shutil.copytree(render(WITH_SITE), tmp_path_factory.mktemp("site") / "service")
    run("uv", "sync", "--quiet", cwd=service)
    # Only the site needs this dependency group.
    assert not (service / ".venv" / "bin" / "zensical").exists()
    build(service)
    return service


class Sources(HTMLParser):
    """Collects the resources that a page loads, not the links it contains."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Record the resource that a tag loads."""
        for name, value in attributes:
            if value and (name == "src" or (tag, name) == ("link", "href")):
                self.found.append(value)


def test_only_the_site_installs_its_dependencies(render: Render) -> None:
    pyproject = tomllib.loads((render(WITH_SITE) / "pyproject.toml").read_text("utf-8"))

    groups = pyproject["dependency-groups"]
    assert {re.split("[<>=]", name)[0] for name in groups["docs"]} == {
        "mkdocstrings-python",
        "zensical",
    }
    assert "zensical" not in str([pyproject["project"]["dependencies"], groups["dev"]])
    assert "docs" not in pyproject["tool"].get("uv", {}).get("default-groups", ["dev"])


@slow
@together
def test_every_operation_and_every_schema_has_its_place(built: Path) -> None:
    document = json.loads((built / "docs/reference/openapi.json").read_text("utf-8"))
    page = (built / "site/reference/api/index.html").read_text("utf-8")

    for path, methods in document["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in page
    for schema in document["components"]["schemas"]:
        assert f'id="schema-{schema}"' in page
    assert "Authorization: Bearer TOKEN" in page


@slow
@together
def test_the_reference_of_the_code_comes_from_the_docstrings(built: Path) -> None:
    code = (built / "site/reference/code/index.html").read_text("utf-8")

    for name in (
        "main.create_app",
        "settings.Settings",
        "items.service.ItemService",
        "core.errors.NotFoundError",
    ):
        assert f'id="order_service.{name}"' in code


@slow
@together
def test_the_site_starts_with_the_index_and_has_every_page(built: Path) -> None:
    home = (built / "site/index.html").read_text("utf-8")

    assert "These pages belong to the template" in home
    for path in (built / "docs").glob("*.md"):
        page = "index.html" if path.stem == "index" else f"{path.stem}/index.html"
        assert (built / "site" / page).is_file(), path.name


@slow
@together
def test_no_page_loads_anything_from_another_host(built: Path) -> None:
    pages = list((built / "site").rglob("*.html"))

    assert len(pages) > 5
    for page in pages:
        found = Sources(page).found
        assert found, page
        assert not [source for source in found if re.match(r"(https?:)?//", source)], page


@slow
@together
def test_built_files_are_ignored_by_git(built: Path, render: Render) -> None:
    run("git", "init", "--quiet", cwd=built)
    run("git", "add", "--all", cwd=built)

    committed = run("git", "ls-files", cwd=built).split()

    written = {name for name in files(render(WITH_SITE)) if name.startswith("docs/")}
    assert "docs/reference/code.md" in written
    assert {name for name in committed if name.startswith(("docs/", "site/", ".cache/"))} == written


@slow
@together
@pytest.mark.parametrize(
    "faults",
    [
        {
            "README.md": "[Nowhere](docs/no-page.md)",
            "CONTRIBUTING.md": "[Nowhere](README.md#no-anchor)",
        },
        {"docs/reference/code.md": "::: order_service.no_module"},
    ],
    ids=["links", "module"],
)
def test_broken_link_fails_the_build(built: Path, faults: dict[str, str]) -> None:
    before = {name: (built / name).read_text("utf-8") for name in faults}
    for name, fault in faults.items():
        (built / name).write_text(f"{before[name]}\n{fault}\n", "utf-8")

    said = build(built, status=1)

    for name, text in before.items():
        (built / name).write_text(text, "utf-8")
    for fault in faults.values():
        assert re.findall(r"no-\w+|no_\w+", fault)[0] in said, said


@slow
@together
def test_smallest_service_has_a_site(project: Render) -> None:
    service = project(BARE)

    build(service)

    page = (service / "site/reference/api/index.html").read_text("utf-8")
    assert "<code>GET /api/v1/items</code>" in page
    # An invalid OpenAPI document fails the build.
    edit(service / "src/order_service/cli.py", "typer.echo(json.dumps(document", "print((document")
    build(service, status=1)
