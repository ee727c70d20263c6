"""The documentation's site: complete, strict, and without anything from other hosts."""

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

WITH_SITE: Answers = ALL_ON
BARE: Answers = {**ALL_OFF, "layout": "layered", "docs_site": True}

slow = pytest.mark.slow
together = pytest.mark.xdist_group("docs-site")


def build(service: Path, status: int = 0) -> str:
    """Build the site as the service's developers do."""
    said = run("uv", "run", "--quiet", "poe", "docs", cwd=service, status=status)
    return re.sub(r"\x1b\[[0-9;]*m", "", said)


@pytest.fixture(scope="module")
def built(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service whose site is built; what a test breaks in it, it mends."""
    service = shutil.copytree(render(WITH_SITE), tmp_path_factory.mktemp("site") / "service")
    run("uv", "sync", "--quiet", cwd=service)
    # The group is installed for the site alone.
    assert not (service / ".venv" / "bin" / "zensical").exists()
    build(service)
    return service


class Sources(HTMLParser):
    """Collects where a page loads something from, as opposed to where it leads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what a tag loads."""
        for name, value in attributes:
            if value and (name == "src" or (tag, name) == ("link", "href")):
                self.found.append(value)


def test_nothing_but_the_site_installs_what_builds_it(render: Render) -> None:
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
def test_settings_and_code_come_from_the_docstrings(built: Path) -> None:
    settings = (built / "site/reference/settings/index.html").read_text("utf-8")
    code = (built / "site/reference/code/index.html").read_text("utf-8")

    assert 'id="order_service.core.settings.ServiceSettings.port"' in settings
    assert "How often a client may ask" in settings
    for name in ("main.create_app", "items.service.ItemService", "core.errors.NotFoundError"):
        assert f'id="order_service.{name}"' in code


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
def test_what_is_built_is_not_committed(built: Path) -> None:
    run("git", "init", "--quiet", cwd=built)
    run("git", "add", "--all", cwd=built)

    committed = run("git", "ls-files", cwd=built).split()

    assert {name for name in committed if name.startswith(("docs/", "site/", ".cache/"))} == {
        "docs/reference/code.md",
        "docs/reference/settings.md",
        "docs/serving.md",
    }


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
def test_what_leads_nowhere_breaks_the_build(built: Path, faults: dict[str, str]) -> None:
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
def test_the_smallest_service_has_a_site_too(project: Render) -> None:
    service = project(BARE)

    build(service)

    page = (service / "site/reference/api/index.html").read_text("utf-8")
    assert "<code>GET /api/v1/items</code>" in page
    # What is no OpenAPI document makes no site.
    edit(service / "src/order_service/cli.py", "typer.echo(json.dumps(document", "print((document")
    build(service, status=1)
