"""The pages of a service and of this repository: short, and in agreement with the code."""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.answers import EACH_VARIANT, QUESTIONS, ROOT, Answers
from tests.conftest import Render
from tests.test_render import texts

LONGEST = {"README.md": 80, "AGENTS.md": 60, "CONTRIBUTING.md": 50}
"""The maximum of lines of the pages that are read first."""

FENCE = re.compile(r"(?ms)^( *)```.*?^\1```$")
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")

ROW = re.compile(r"(?m)^\| `([A-Z][A-Z0-9_]*)` \| (.+?) \|")
VARIABLE = re.compile(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=.*)?")

SUFFIXES = (".py", ".sh", ".json", ".yml", ".yaml", ".toml", ".md", ".ipynb")

FOREIGN = {
    "CODECOV_TOKEN",
    "COMPOSE_PROFILES",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "SSL_CERT_FILE",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER_ARG",
}
"""Variables that other programs read and that the service's files need not contain."""

YOURS = {"service.env", "compose.override.yaml", "notes/messages.py", "messages/notes.py"}
YOURS |= {"notes/jobs.py", "jobs/notes.py"}
"""Files that the pages tell the reader to create."""


def pages(service: Path) -> dict[str, str]:
    """Read every page, by its path."""
    return {name: text for name, text in texts(service).items() if name.endswith(".md")}


def package_of(service: Path) -> str:
    """Return the name of the service's package."""
    answers = yaml.safe_load((service / ".copier-answers.yml").read_text("utf-8"))
    return str(answers["package_name"])


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.*)$", FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def modules(service: Path) -> Iterator[ast.Module]:
    """Parse every module of the service."""
    for path in sorted(service.glob("src/**/*.py")):
        yield ast.parse(path.read_text("utf-8"))


def default_of(value: ast.expr | None, distribution: str) -> str:
    """Write a field's default as its row has it."""
    if isinstance(value, ast.Call):
        name = ast.unparse(value.func)
        if name == "Field":
            given = {one.arg: one.value for one in value.keywords}
            return default_of(given.get("default"), distribution)
        assert name == "SecretStr", f"What is the default of {ast.unparse(value)}?"
        return default_of(value.args[0], distribution)
    if value is None:
        return "required"
    if isinstance(value, ast.Name):
        assert value.id == "DISTRIBUTION", f"What is the default {value.id}?"
        return f"`{distribution}`"
    default = ast.literal_eval(value)
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, list):
        default = ",".join(default)
    return "none" if default in (None, "") else f"`{default}`"


def settings_of(service: Path) -> dict[str, str]:
    """Return the variable of every setting, with its default."""
    classes = {
        one.name: one
        for module in modules(service)
        for one in module.body
        if isinstance(one, ast.ClassDef)
    }
    distribution = package_of(service).replace("_", "-")

    def fields_of(name: str) -> dict[str, str]:
        found: dict[str, str] = {}
        bases = [ast.unparse(base) for base in classes[name].bases]
        for base in reversed([base for base in bases if base in classes]):
            found |= fields_of(base)
        for field in classes[name].body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                found[field.target.id.upper()] = default_of(field.value, distribution)
        return found

    return fields_of("Settings")


def commands_of(service: Path) -> set[str]:
    """Return the name of every command."""
    return {
        one.name.replace("_", "-")
        for module in modules(service)
        for one in ast.walk(module)
        if isinstance(one, ast.FunctionDef)
        for decorator in one.decorator_list
        if ast.unparse(decorator).endswith(".command()")
    }


@pytest.mark.parametrize("answers", EACH_VARIANT)
def test_readme_and_guides_are_short(render: Render, answers: Answers) -> None:
    found = pages(render(answers))

    lines = {name: len(found[name].splitlines()) for name in LONGEST}
    assert {name: count for name, count in lines.items() if count > LONGEST[name]} == {}


def broken_links(folder: Path, names: list[str]) -> tuple[list[str], int]:
    """Return the broken relative links, and how many were checked."""
    broken, checked = [], 0
    for name in names:
        for link in LINK.findall(FENCE.sub("", (folder / name).read_text("utf-8"))):
            if ":" in link:
                continue
            checked += 1
            file, _, anchor = link.partition("#")
            target = (folder / name).parent / file if file else folder / name
            if not target.is_file() or (
                anchor and anchor not in anchors(target.read_text("utf-8"))
            ):
                broken.append(f"{name}: {link}")
    return broken, checked


@pytest.mark.parametrize("answers", EACH_VARIANT)
def test_relative_links_are_valid(render: Render, answers: Answers) -> None:
    service = render(answers)

    broken, checked = broken_links(service, list(pages(service)))

    assert broken == []
    assert checked > 15


def test_relative_links_of_this_repository_are_valid() -> None:
    names = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
    names += [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))]

    broken, checked = broken_links(ROOT, names)

    assert broken == []
    assert checked > 30


def test_readme_of_this_repository_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 80


def test_every_question_is_described_with_its_help() -> None:
    page = (ROOT / "docs/options.md").read_text("utf-8")

    described = re.findall(r"(?m)^### `(\w+)`\n\n(.+)$", page)

    assert described == [(name, question["help"]) for name, question in QUESTIONS.items()]


@pytest.mark.parametrize("answers", EACH_VARIANT)
def test_the_index_and_the_site_list_every_page_once(render: Render, answers: Answers) -> None:
    service = render(answers)
    there = {path.name for path in (service / "docs").glob("*.md")}

    listed = LINK.findall((service / "docs/index.md").read_text("utf-8"))

    assert Counter(listed) == Counter(there - {"index.md"})
    if (service / "zensical.toml").exists():
        site = tomllib.loads((service / "zensical.toml").read_text("utf-8"))["project"]
        on_site = re.findall(r"'([\w-]+\.md)'", str(site["nav"]))
        copied = {"start.md", "CONTRIBUTING.md", "CHANGELOG.md"}
        assert Counter(on_site) == Counter(there | copied)


@pytest.mark.parametrize("answers", EACH_VARIANT)
def test_every_setting_is_documented_once(render: Render, answers: Answers) -> None:
    service = render(answers)
    page, environment_only = (
        (service / "docs/settings.md").read_text("utf-8").split("\n## Read from the environment")
    )

    assert sorted(ROW.findall(page)) == sorted(settings_of(service).items())
    source = "".join(path.read_text("utf-8") for path in service.glob("src/**/*.py"))
    named = set(re.findall(r'environ(?:\.get\(|\[)"(\w+)"', source)) - {"ENVIRONMENT"}
    assert {name for name, _ in ROW.findall(environment_only)} == named & set(
        re.findall(r"\b(?:SECRETS|AWS|VAULT)_\w+", source)
    )


@pytest.mark.parametrize("answers", EACH_VARIANT)
def test_every_command_is_documented_and_exists(render: Render, answers: Answers) -> None:
    service = render(answers)
    found = pages(service)
    command = package_of(service).replace("_", "-")
    tasks = tomllib.loads((service / "pyproject.toml").read_text("utf-8"))["tool"]["poe"]["tasks"]
    recipes = re.findall(r"(?m)^(\w+)[^:\n]*:$", (service / "justfile").read_text("utf-8"))

    named: dict[str, set[str]] = {"command": set(), "task": set(), "recipe": set()}
    for text in found.values():
        code = "\n".join([*SPAN.findall(FENCE.sub("", text)), *fences(text)])
        named["command"] |= set(re.findall(rf"(?m)(?:^|run |\d ){command} ([a-z][a-z-]*)", code))
        named["task"] |= set(re.findall(r"\bpoe ([a-z][\w-]*)", code))
        named["recipe"] |= set(re.findall(r"(?m)^just ([a-z]+)", code))

    assert named["task"] <= set(tasks)
    assert named["recipe"] <= set(recipes)
    assert named["command"] == commands_of(service)
    table = re.findall(rf"`{command} ([a-z-]+)", found["docs/commands.md"].partition("| --- |")[2])
    assert set(table) == commands_of(service)


def fences(text: str) -> list[str]:
    """Return the fenced blocks of a page, but for samples of Python and of output."""
    return [one[0] for one in FENCE.finditer(text) if one[0].lstrip().startswith("```sh")]


@pytest.mark.parametrize("answers", EACH_VARIANT)
def test_variables_and_files_that_pages_name_exist(render: Render, answers: Answers) -> None:
    service = render(answers)
    package = service / "src" / package_of(service)
    rest = "\n".join(text for name, text in texts(service).items() if not name.endswith(".md"))
    unknown = []

    for name, text in pages(service).items():
        # A separate test follows the walks of this page.
        for span in [] if name == "docs/features.md" else SPAN.findall(FENCE.sub("", text)):
            variable = VARIABLE.fullmatch(span)
            if variable and not re.search(rf"\b{variable[1]}\b", rest):
                if variable[1] not in FOREIGN:
                    unknown.append(f"{name}: {span}")
            elif re.fullmatch(r"[\w./-]+/[\w.-]+", span) and span.endswith(SUFFIXES):
                places = (service, package, (service / name).parent)
                if span not in YOURS and not any((place / span).exists() for place in places):
                    unknown.append(f"{name}: {span}")

    assert unknown == []
