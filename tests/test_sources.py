"""The template's sources: Python first, Jinja only where an answer needs it."""

import ast
import re
import shutil
import sys
from pathlib import Path

import copier
import pytest
import yaml
from pathspec import PathSpec

from tests.answers import CONFIG, ROOT, choices
from tests.commands import commit_all, run
from tests.conftest import Macros, Render

TEMPLATE = ROOT / "template"
PACKAGE = TEMPLATE / "src" / "{{ package_name }}"
RUFF = Path(sys.executable).with_name("ruff")

DISPATCHER = "{% yield module from layered_modules %}{{ module.path }}{% endyield %}.jinja"

STATEMENT_SHARE = 0.01
"""The maximum share of Jinja statements in the template's lines of Python."""

UNPARSABLE_SHARE = 0.07
"""The maximum share of Python files that do not parse because of Jinja: mostly tests, which import
the package by its name."""


def python_sources() -> list[Path]:
    """List the template's Python, rendered or copied."""
    return sorted([*TEMPLATE.rglob("*.py"), *TEMPLATE.rglob("*.py.jinja")])


def plain_sources() -> list[Path]:
    """List the Python that is copied as it is."""
    return sorted(TEMPLATE.rglob("*.py"))


def parses(source: Path) -> bool:
    """Return whether a file is valid Python before it is rendered."""
    try:
        ast.parse(source.read_text("utf-8"))
    except SyntaxError:
        return False
    return True


def exclude_patterns() -> list[str]:
    """List copier.yml's patterns, whatever their conditions."""
    lines = [line.strip() for entry in CONFIG["_exclude"] for line in entry.splitlines()]
    patterns = {line for line in lines if line and not line.startswith("{")}
    # Two patterns stand for the names of an inventory.
    for name, inventory in [("{{ path }}", "core_parts"), ("{{ page }}", "doc_pages")]:
        (pattern,) = (one for one in patterns if name in one)
        names = re.findall(r"(?m)^(\S+): ", CONFIG[inventory]["default"])
        patterns.remove(pattern)
        patterns |= {pattern.replace(name, one) for one in names}
    return sorted(patterns)


@pytest.mark.parametrize(
    "source", plain_sources(), ids=lambda path: str(path.relative_to(TEMPLATE))
)
def test_plain_file_is_python_without_jinja(source: Path) -> None:
    text = source.read_text("utf-8")

    ast.parse(text)
    # The layered layout renders these files too, so not even a brace may look like Jinja.
    assert not re.search(r"\{\{|\{%|\{#", text)


def test_few_lines_of_python_are_jinja() -> None:
    lines = [line for source in python_sources() for line in source.read_text("utf-8").splitlines()]
    statements = [line for line in lines if "{%" in line]
    unparsable = [source for source in python_sources() if not parses(source)]

    share = len(statements) / len(lines)
    print(f"{len(statements)} of {len(lines)} lines, {share:.1%};", end=" ")
    print(f"{len(unparsable)} of {len(python_sources())} files do not parse")
    assert share <= STATEMENT_SHARE
    names = [str(path.relative_to(TEMPLATE)) for path in unparsable]
    assert len(unparsable) / len(python_sources()) <= UNPARSABLE_SHARE, names


def test_file_is_rendered_only_if_it_needs_an_answer() -> None:
    for source in python_sources():
        if source.suffix == ".jinja":
            assert re.search(r"\{\{|\{%|#%", source.read_text("utf-8")), (
                f"{source} needs no suffix."
            )


def test_plain_files_are_clean_before_they_are_rendered(render: Render, tmp_path: Path) -> None:
    # With the site, the configuration includes the rules for scripts.
    shutil.copy(render({"docs_site": True}) / "pyproject.toml", tmp_path)
    for source in plain_sources():
        copied = tmp_path / source.relative_to(TEMPLATE)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copied)

    run(RUFF, "format", "--check", "--no-cache", ".", cwd=tmp_path)
    # The package's folder is named after an answer, which is not a module name.
    run(RUFF, "check", "--no-cache", "--extend-ignore", "N999", ".", cwd=tmp_path)


def test_file_names_are_portable() -> None:
    for path in TEMPLATE.rglob("*"):
        name = path.name
        assert not re.search(r'[<>:"|?*\\]', name), f"Windows has no such name: {path}"
        packages = {"{{ package_name }}", "{{ package_name }}_dev"}
        if name not in packages | {DISPATCHER, "{{_copier_conf.answers_file}}.jinja"}:
            assert "{" not in name, f"copier.yml decides which files there are: {path}"


def test_layered_modules_match_the_domain_modules(macros: Macros) -> None:
    listed = macros("layout").features

    # The repository includes memory.py, which is not a module of a service.
    unlisted = {"__init__", "memory"}
    assert {feature: set(roles) for feature, roles in listed.items()} == {
        folder.name: {path.name.split(".")[0] for path in folder.glob("*.py*")} - unlisted
        for folder in PACKAGE.iterdir()
        if folder.is_dir() and folder.name not in {"core", "migrations", "worker", "__pycache__"}
    }


@pytest.fixture(scope="module")
def every_file(template: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every file the template can render, with nothing excluded."""
    folder = tmp_path_factory.mktemp("unexcluded")
    clone = folder / "template"
    run("git", "clone", "--quiet", template, clone, cwd=folder)
    config = yaml.safe_load((clone / "copier.yml").read_text("utf-8"))
    del config["_exclude"]
    (clone / "copier.yml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    commit_all(clone, "Exclude nothing")
    found: set[str] = set()
    # With nothing excluded, only the layout decides which files there are.
    for layout in choices("layout"):
        service = folder / layout
        copier.run_copy(str(clone), service, data={"layout": layout}, defaults=True, quiet=True)
        found |= {str(path.relative_to(service)) for path in service.rglob("*")}
    return found


@pytest.mark.xdist_group("excludes")
@pytest.mark.parametrize("pattern", exclude_patterns())
def test_every_exclude_pattern_matches_a_file(pattern: str, every_file: set[str]) -> None:
    assert any(PathSpec.from_lines("gitignore", [pattern]).match_files(every_file))
