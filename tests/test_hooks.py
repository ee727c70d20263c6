"""The hooks of a service: it passes them when it is new, and each refuses its fault."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tests.answers import ALL_OFF, ALL_ON
from tests.commands import run
from tests.conftest import Render
from tests.releases import edit

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hooks")]

# prek comes from the service's lock. pre-commit is what others have on their machines.
RUNNERS = {
    "prek": ["uv", "run", "--no-sync", "prek"],
    "pre-commit": [str(Path(sys.executable).with_name("pre-commit"))],
}

# The faults are put together here, so that no scan of this repository finds them.
TOKEN = "ghp_" + "k3Jw9ZpQx7Lr2VtB8nYc5HsD1mGf6aEuTq4X"
KEY = "-----BEGIN {0} KEY-----\nMIIEowIBAAKCAQEA\n-----END {0} KEY-----\n".format("RSA PRIVATE")
MARKERS = f"{'<' * 7} before updating\nMine.\n{'=' * 7}\nTheirs.\n{'>' * 7} after updating\n"

FAULTS: dict[str, dict[str, str]] = {
    "check-merge-conflict": {"conflict.md": MARKERS},
    "no-rejected-change": {"justfile.rej": "A change that found no place.\n"},
    "trailing-whitespace": {"trailing.md": "A line. \n"},
    "end-of-file-fixer": {"unended.md": "A line without an end."},
    "check-yaml": {"broken.yaml": "key: [unclosed\n"},
    "check-toml": {"broken.toml": "key = [unclosed\n"},
    "check-added-large-files": {"large.txt": "0123456789\n" * 60_000},
    "detect-private-key": {"server.pem": KEY},
    "secrets": {"src/order_service/token.py": f'"""A token."""\n\nVALUE = "{TOKEN}"\n'},
    "format": {"tests/unformatted.py": '"""Not formatted."""\nVALUES=[1,2]\n'},
    "lint": {"tests/unlinted.py": '"""Not linted."""\n\nimport os\n'},
    "rules": {
        "src/order_service/blocking.py": '"""Blocks."""\n\nimport time\n\n\n'
        'async def wait() -> None:\n    """Wait."""\n    time.sleep(1)\n'
    },
    "types": {"tests/untyped.py": '"""Not typed."""\n\nVALUE: int = "one"\n'},
    "contracts": {
        "src/order_service/core/uphill.py": '"""Against the way."""\n\n'
        "from ..items import models as models\n"
    },
    "core": {"src/order_service/core/own.py": '"""In the core, but not the template\'s."""\n'},
    "dependencies": {
        "src/order_service/undeclared.py": '"""Not declared."""\n\nimport yaml as yaml\n'
    },
    "spelling": {"misspelt.md": "A recieved letter.\n"},
}
"""A fault for each hook; that of the lock is an edit and that of the message is no file."""


@pytest.fixture(scope="module")
def service(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installed service, for the tests of this file only."""
    path = shutil.copytree(render({}), tmp_path_factory.mktemp("hooks") / "service")
    run("uv", "sync", "--quiet", cwd=path)
    return path


@pytest.fixture(params=RUNNERS)
def repository(service: Path, request: pytest.FixtureRequest) -> Path:
    """The service in a new repository, with the hooks switched on by one of the runners."""
    shutil.rmtree(service / ".git", ignore_errors=True)
    run("git", "init", "--quiet", cwd=service)
    said = run(*RUNNERS[request.param], "install", cwd=service)
    for hook in ("pre-commit", "commit-msg"):
        assert f".git/hooks/{hook}" in said
        assert os.access(service / ".git" / "hooks" / hook, os.X_OK)
    return service


def configured(service: Path) -> dict[str, dict[str, str]]:
    """Read a service's hooks, by their ids."""
    config = yaml.safe_load((service / ".pre-commit-config.yaml").read_text("utf-8"))
    return {hook["id"]: hook for repo in config["repos"] for hook in repo["hooks"]}


def failed(output: str) -> set[str]:
    """Name the hooks that refused, which both runners print in the same words."""
    return {line.removeprefix("- hook id: ") for line in output.splitlines() if "hook id" in line}


def test_all_hooks_run_what_is_locked_and_change_nothing_else(render: Render) -> None:
    service = render({})
    config = yaml.safe_load((service / ".pre-commit-config.yaml").read_text("utf-8"))

    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    for name, hook in configured(service).items():
        commands = {"system": ("uv run --no-sync ", "uv lock --check"), "fail": ("",)}
        assert hook["entry"].startswith(commands[hook["language"]]), name
    assert set(configured(service)) == {*FAULTS, "lock", "conventional-commit"}
    run(*RUNNERS["pre-commit"], "validate-config", cwd=service)


def test_a_fresh_service_passes_its_own_hooks(repository: Path) -> None:
    run("git", "add", "--all", cwd=repository)

    said = run("git", "commit", "--message", "feat: make the service", cwd=repository)

    assert not failed(said), said
    for name, hook in configured(repository).items():
        if name != "no-rejected-change":  # There is no file for it to look at.
            assert any(
                line.startswith(hook["name"]) and line.endswith("Passed")
                for line in said.splitlines()
            ), f"{name}:\n{said}"
    assert not run("git", "status", "--porcelain", cwd=repository)


def test_each_hook_refuses_its_fault(repository: Path) -> None:
    run("git", "add", "--all", cwd=repository)
    run("git", "commit", "--quiet", "--no-verify", "--message", "feat: begin", cwd=repository)
    for files in FAULTS.values():
        for name, text in files.items():
            (repository / name).write_text(text, "utf-8")
    pyproject = repository / "pyproject.toml"
    edit(
        pyproject, "    # Your own dependencies go", '    "tzdata",\n    # Your own dependencies go'
    )
    run("git", "add", "--all", cwd=repository)

    said = run("git", "commit", "--message", "feat: add faults", cwd=repository, status=1)

    run("git", "reset", "--quiet", "--hard", cwd=repository)
    assert failed(said) == {*FAULTS, "lock"}, said
    assert TOKEN not in said, "A secret must not get into a log."


def test_a_message_of_another_form_is_refused(repository: Path) -> None:
    commit = ["git", "commit", "--allow-empty", "--message"]

    for refused in ("Change things", "feature: list notes", "feat list notes"):
        said = run(*commit, refused, cwd=repository, status=1)
        assert failed(said) == {"conventional-commit"}, said
    for accepted in ("feat(notes)!: list by date", "fixup! feat: list notes", "build: raise x"):
        run(*commit, accepted, cwd=repository)


def test_a_merge_needs_no_message_of_one_s_own(repository: Path) -> None:
    run("git", "commit", "--quiet", "--allow-empty", "--message", "feat: begin", cwd=repository)
    run("git", "checkout", "--quiet", "-b", "notes", cwd=repository)
    run("git", "commit", "--quiet", "--allow-empty", "--message", "feat: notes", cwd=repository)
    run("git", "checkout", "--quiet", "main", cwd=repository)

    run("git", "merge", "--no-ff", "--no-edit", "notes", cwd=repository)

    assert "Merge branch 'notes'" in run("git", "log", "-1", cwd=repository)


def test_no_answer_brings_what_looks_like_a_secret(render: Render, service: Path) -> None:
    scan = shlex.split(configured(service)["secrets"]["entry"])
    others = {**ALL_ON, "layout": "layered", "jobs": "taskiq", "secrets": "aws"}

    for answers in (ALL_ON, ALL_OFF, others):
        run(*scan, render(answers), cwd=service)
    # The scan of a folder finds what is in it.
    planted = service / "planted"
    planted.mkdir()
    (planted / "token.py").write_text(FAULTS["secrets"]["src/order_service/token.py"], "utf-8")
    run(*scan, planted, cwd=service, status=200)
    shutil.rmtree(planted)


@pytest.mark.parametrize("repository", ["prek"], indirect=True)
def test_the_task_runs_every_hook_on_every_file(repository: Path) -> None:
    misspelt = repository / "misspelt.md"
    misspelt.write_text(FAULTS["spelling"][misspelt.name], "utf-8")
    run("git", "add", "--all", cwd=repository)

    said = run("uv", "run", "--no-sync", "poe", "hooks", cwd=repository, status=1)

    misspelt.unlink()
    assert failed(said) == {"spelling"}, said
    assert said.count("Passed") == len(FAULTS) - 1
