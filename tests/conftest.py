"""Fixtures: one snapshot of the template, renders of it, and an isolated environment."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
from _pytest.nodeid import NodeId
from copier import run_copy
from jinja2_ansible_filters import AnsibleCoreFiltersExtension

from tests.answers import CONFIG, ROOT, Answers
from tests.commands import commit_all, run
from tests.releases import make_repository

collect_ignore = ["platform"]
"""Those tests run against a service, in its environment: see tests/platform/__main__.py."""

Render = Callable[[Answers], Path]
Macros = Callable[[str], Any]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of a group on one worker, as pytest-xdist intends to.

    pytest-xdist writes the group where pytest has not read it since 9.2, so marks have no effect:
    https://github.com/pytest-dev/pytest-xdist/issues/1386.
    """
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group and not item.nodeid.endswith(f"@{group.args[0]}"):
            path, _, rest = item.nodeid.partition("::")
            item._id = NodeId(path=path, names=(f"{rest}@{group.args[0]}",))  # noqa: SLF001


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the developer's settings of git, Copier and uv out of the tests."""
    home = tmp_path_factory.mktemp("environment")
    (home / "copier.yml").write_text("{}\n", "utf-8")
    (home / "gitconfig").write_text(
        "[user]\nname = A Developer\nemail = developer@example.com\n"
        "[init]\ndefaultBranch = main\n[protocol.file]\nallow = always\n",
        "utf-8",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COPIER_SETTINGS_PATH", str(home / "copier.yml"))
        patch.setenv("COPIER_CACHE_DIR", str(home / "copier"))
        patch.setenv("GIT_CONFIG_GLOBAL", str(home / "gitconfig"))
        patch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        # A service has its own environment; variables of this one must not affect it.
        for name in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONPATH", "DATABASE_URL"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree, committed to a separate repository without tags."""
    path = tmp_path_factory.mktemp("template") / "groundplan"
    shutil.copytree(
        ROOT, path, ignore=shutil.ignore_patterns(".git", ".venv", "*_cache", "__pycache__")
    )
    run("git", "init", "--quiet", cwd=path)
    commit_all(path, "The working tree")
    return path


@pytest.fixture(scope="session")
def releases(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which every release has its tag."""
    return make_repository(tmp_path_factory.mktemp("releases"), template)


@pytest.fixture(scope="session")
def render(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Render answers once per session. The result is shared: only read it."""
    rendered: dict[str, Path] = {}
    parent = tmp_path_factory.mktemp("renders")

    def rendering(answers: Answers) -> Path:
        key = json.dumps(answers, sort_keys=True)
        if key not in rendered:
            rendered[key] = parent / f"service{len(rendered)}"
            # No `unsafe`: a template that requires trust fails here.
            run_copy(
                str(template),
                rendered[key],
                data=dict(answers),
                defaults=True,
                quiet=True,
                vcs_ref="HEAD",
            )
        return rendered[key]

    return rendering


@pytest.fixture
def project(render: Render, tmp_path: Path) -> Render:
    """Render answers into a folder of this test, for tools that write."""

    def copying(answers: Answers) -> Path:
        return shutil.copytree(render(answers), tmp_path / "service")

    return copying


@pytest.fixture(scope="session")
def macros() -> Macros:
    """Load a file of macros by name, with copier.yml's Jinja settings."""
    environment = jinja2.Environment(
        # The macros import each other by paths relative to the template's root.
        loader=jinja2.FileSystemLoader(ROOT),
        extensions=[AnsibleCoreFiltersExtension],
        autoescape=False,  # noqa: S701 - It writes Python and TOML, not HTML.
        **{**CONFIG["_envops"], "undefined": jinja2.StrictUndefined},
    )

    def loading(name: str) -> Any:  # noqa: ANN401 - Its attributes are the file's macros.
        return environment.get_template(f"extensions/macros/{name}.jinja").make_module()

    return loading
