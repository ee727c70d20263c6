"""What brings new versions: the bots' settings, and the job that brings the template."""

import importlib.util
import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import check_jsonschema
import copier
import pytest
import yaml

from tests.answers import ALL_OFF, ROOT, Answers
from tests.commands import commit_all, run
from tests.conftest import Render
from tests.releases import edit, make_next_release

CHECK_JSONSCHEMA = Path(sys.executable).with_name("check-jsonschema")

SCRIPTS = ROOT / "template" / "scripts"

WORKFLOW = ".github/workflows/template-update.yml"
JOBS = ".gitlab/template-update.yml"

GITHUB: Answers = {**ALL_OFF, "dependency_bot": "dependabot"}
GITLAB: Answers = {**ALL_OFF, "dependency_bot": "none", "ci": "gitlab"}


def read(service: Path, name: str) -> dict[str, Any]:
    """Read a YAML file, JSON being YAML too. PyYAML takes the word `on` for a yes."""
    text = re.sub(r"(?m)^on:", '"on":', (service / name).read_text("utf-8"))
    content: dict[str, Any] = yaml.safe_load(text)
    return content


@pytest.mark.parametrize(
    ("answers", "name", "schema", "fault"),
    [
        ({}, "renovate.json", "renovate", ('"update-lockfile"', '"update-lock"')),
        (GITHUB, ".github/dependabot.yml", "dependabot", ("directory:", "folder:")),
        (GITHUB, WORKFLOW, "github-workflows", ("runs-on:", "runs-at:")),
        (GITLAB, JOBS, "gitlab-ci", ("artifacts:", "artefacts:")),
    ],
    ids=["renovate", "dependabot", "workflow", "gitlab"],
)
def test_each_file_is_what_its_reader_expects(
    project: Render, answers: Answers, name: str, schema: str, fault: tuple[str, str]
) -> None:
    file = project(answers) / name
    validate = (CHECK_JSONSCHEMA, "--builtin-schema", f"vendor.{schema}", file)

    run(*validate, cwd=file.parent)
    # The schema is one that refuses what is wrong.
    edit(file, *fault)
    run(*validate, cwd=file.parent, status=1)


def test_renovate_knows_every_option(render: Render) -> None:
    # Its schema lets any name pass, and so does Renovate, so the names are looked up here.
    schemas = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor"
    known = set(json.loads((schemas / "renovate.json").read_text("utf-8"))["definitions"])
    config = read(render({}), "renovate.json")

    used = set(config).union(*config["packageRules"], config["lockFileMaintenance"])
    assert used - known == {"$schema"}


def test_renovate_brings_the_template_and_all_that_is_pinned(render: Render) -> None:
    config = read(render({}), "renovate.json")

    # Everything is looked at that is not switched off: nothing is, and hooks are asked for.
    assert "enabledManagers" not in config
    assert not [rule for rule in config["packageRules"] if "enabled" in rule]
    assert ":enablePreCommit" in config["extends"]
    assert {"docker:pinDigests", "helpers:pinGitHubActionDigests"} < set(config["extends"])
    assert config["lockFileMaintenance"]["enabled"] is True
    assert config["minimumReleaseAge"] == "7 days"
    # The last rule that matches wins, and no later one groups the template with others.
    assert config["packageRules"][-1]["matchManagers"] == ["copier"]


def test_dependabot_looks_at_each_kind_of_dependency(render: Render) -> None:
    updates = read(render(GITHUB), ".github/dependabot.yml")["updates"]

    kinds = {update["package-ecosystem"] for update in updates}
    assert kinds == {"uv", "github-actions", "docker", "docker-compose"}
    for update in updates:
        assert update["cooldown"]["default-days"] == 7
        assert update["groups"]
        assert update["commit-message"]["prefix"] == "build"


def test_the_workflow_may_do_little_and_keeps_its_token_to_one_step(render: Render) -> None:
    workflow = read(render(GITHUB), WORKFLOW)
    (job,) = workflow["jobs"].values()
    *before, last = job["steps"]

    assert workflow["permissions"] == {}
    assert job["permissions"] == {"contents": "write", "pull-requests": "write"}
    assert "timeout-minutes" in job
    used = [step["uses"] for step in before if "uses" in step]
    assert [name.partition("@")[0] for name in used] == ["actions/checkout", "astral-sh/setup-uv"]
    assert all(re.search(r"@[0-9a-f]{40}$", name) for name in used)
    assert before[0]["with"]["persist-credentials"] is False
    assert "token" not in json.dumps(before).lower()
    assert "open_pull_request.py" in last["run"]
    assert set(last["env"]) == {"GH_TOKEN"}


def test_the_gitlab_job_that_runs_the_template_has_no_token(render: Render) -> None:
    jobs = read(render(GITLAB), JOBS)

    assert "environment" not in jobs["merge-template"]
    assert jobs["propose-template"]["environment"]["name"] == "template-update"
    (rule,) = jobs[".template-update"]["rules"]
    assert 'CI_PIPELINE_SOURCE == "schedule"' in rule["if"]


@pytest.mark.parametrize("ci", ["github", "gitlab"])
@pytest.mark.parametrize("bot", ["renovate", "dependabot", "none"])
def test_a_service_has_one_way_to_new_releases(render: Render, bot: str, ci: str) -> None:
    if (bot, ci) == ("dependabot", "gitlab"):
        return
    service = render({**ALL_OFF, "dependency_bot": bot, "ci": ci})

    by_job = bot != "renovate"
    assert (service / "renovate.json").exists() is not by_job
    assert (service / ".github" / "dependabot.yml").exists() is (bot == "dependabot")
    assert (service / "scripts").exists() is by_job
    for platform, opener, job in (
        ("github", "open_pull_request.py", WORKFLOW),
        ("gitlab", "open_merge_request.py", JOBS),
    ):
        expected = by_job and platform == ci
        assert (service / "scripts" / opener).exists() is expected
        assert (service / job).exists() is expected
    assert ("copier>=" in (service / "pyproject.toml").read_text("utf-8")) is by_job


@pytest.fixture(scope="module")
def releases(template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a repository that has two releases of the template."""
    folder = tmp_path_factory.mktemp("bots")
    clone = folder / "clone"
    run("git", "clone", "--quiet", template, clone, cwd=folder)
    run("git", "tag", "v1.0.0", cwd=clone)
    make_next_release(clone)
    (clone / "template" / "justfile.jinja").unlink()
    commit_all(clone, "The next release")
    run("git", "tag", "v1.1.0", cwd=clone)
    run("git", "clone", "--quiet", "--bare", clone, "groundplan.git", cwd=folder)
    return (folder / "groundplan.git").as_uri()


@pytest.fixture(scope="module")
def locked(releases: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A locked service of the first release on each platform; it is shared, so only read it."""
    services = {}
    for ci, answers in {"github": GITHUB, "gitlab": GITLAB}.items():
        service = tmp_path_factory.mktemp("locked") / ci
        copier.run_copy(
            releases, service, data=answers, vcs_ref="v1.0.0", defaults=True, quiet=True
        )
        # A team of its own mind, whose checks are short: what they are is not the matter here.
        pyproject = service / "pyproject.toml"
        checks = re.compile(r'(?<=^sequence = )\[\n    "format",.*?^\]', re.DOTALL | re.MULTILINE)
        text, found = checks.subn('["spelling"]', pyproject.read_text("utf-8"))
        assert found == 1
        pyproject.write_text(text, "utf-8")
        run("uv", "lock", "--quiet", cwd=service)
        services[ci] = service
    return services


class Repository:
    """A service with a remote, and a machine whose `gh` writes down what it is told."""

    def __init__(self, locked: Path, folder: Path) -> None:
        self.path = shutil.copytree(locked, folder / "service")
        self.origin = folder / "origin.git"
        self.result = folder / "result"
        self._calls = folder / "calls.jsonl"
        machine = folder / "bin"
        machine.mkdir()
        gh = machine / "gh"
        gh.write_text(
            f"#!{sys.executable}\nimport json, sys\n"
            "told = {'arguments': sys.argv[1:]}\n"
            "told['input'] = sys.stdin.read() if '--body-file' in sys.argv else ''\n"
            f"with open({str(self._calls)!r}, 'a', encoding='utf-8') as calls:\n"
            "    calls.write(json.dumps(told) + '\\n')\n",
            "utf-8",
        )
        gh.chmod(0o755)
        self.environment = {"PATH": f"{machine}:{os.environ['PATH']}"}

    def commit(self) -> None:
        """Commit the service and push it."""
        run("git", "init", "--quiet", cwd=self.path)
        commit_all(self.path, "feat: make the service")
        run("git", "clone", "--quiet", "--bare", self.path, self.origin, cwd=self.path.parent)
        run("git", "remote", "add", "origin", self.origin, cwd=self.path)

    def update(self) -> str:
        """Run the first step of the job."""
        script = "scripts/update_from_template.py"
        command = ["uv", "run", "--quiet", "--locked", "--only-group", "template", script]
        return run(*command, self.result, cwd=self.path, environment=self.environment)

    def propose(self, script: str, status: int = 0, **environment: str) -> str:
        """Run the second step of the job."""
        return run(
            *("uv", "run", "--quiet", "--no-project", f"scripts/{script}", self.result),
            cwd=self.path,
            environment={**self.environment, **environment},
            status=status,
        )

    def proposal(self) -> dict[str, Any]:
        """Read what the first step has left for the second."""
        proposal: dict[str, Any] = json.loads((self.result / "proposal.json").read_text("utf-8"))
        return proposal

    def gh_calls(self) -> list[dict[str, Any]]:
        """Tell what `gh` was told."""
        if not self._calls.exists():
            return []
        return [json.loads(line) for line in self._calls.read_text("utf-8").splitlines()]

    def shown(self, branch: str, name: str) -> str:
        """Read a file of a branch of the remote."""
        return run("git", "show", f"{branch}:{name}", cwd=self.origin)


@pytest.fixture
def repository(
    locked: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest
) -> Repository:
    """A service of one's own on a platform."""
    return Repository(locked[request.param], tmp_path)


def assert_no_marker(repository: Repository, branch: str) -> None:
    """No file of a branch has a conflict marker, and none is a rejected change."""
    for pattern in ("^<<<<<<< ", "^>>>>>>> "):
        run("git", "grep", "-e", pattern, branch, cwd=repository.origin, status=1)
    assert ".rej" not in run("git", "ls-tree", "-r", "--name-only", branch, cwd=repository.origin)


on_github = pytest.mark.parametrize("repository", ["github"], indirect=True)
on_gitlab = pytest.mark.parametrize("repository", ["gitlab"], indirect=True)
slow = pytest.mark.slow
together = pytest.mark.xdist_group("bots")


@slow
@together
@on_github
def test_a_release_without_conflict_is_proposed_once(repository: Repository) -> None:
    repository.commit()
    head = run("git", "rev-parse", "HEAD", cwd=repository.path)

    repository.update()
    repository.propose("open_pull_request.py")
    again = repository.propose("open_pull_request.py")

    branch = "template-update/v1.1.0"
    assert "novelty" in run("git", "ls-tree", "-r", "--name-only", branch, cwd=repository.origin)
    assert 'name = "pytest-timeout"' in repository.shown(branch, "uv.lock")
    assert_no_marker(repository, branch)
    # What was checked out, and the branch it is on, are as they were.
    assert run("git", "rev-parse", "HEAD", cwd=repository.path) == head
    assert run("git", "rev-parse", "main", cwd=repository.origin) == head
    assert not run("git", "status", "--porcelain", cwd=repository.path)

    setup, create, setup_again = repository.gh_calls()
    assert setup["arguments"] == setup_again["arguments"] == ["auth", "setup-git"]
    assert create["arguments"] == [
        *("pr", "create", "--head", branch),
        *("--title", "build: take over v1.1.0 of the template", "--body-file", "-"),
    ]
    assert "from v1.0.0 to v1.1.0" in create["input"]
    assert "The checks pass" in create["input"]
    assert "Conflicts" not in create["input"]
    assert "Nothing is left to settle." in create["input"]
    assert "is there already" in again


@slow
@together
@on_github
def test_what_fails_the_checks_is_a_draft_and_says_so(repository: Repository) -> None:
    # The service has had this word for long; it is the checks that are new.
    (repository.path / "NOTES.md").write_text("We recieved it.\n", "utf-8")
    repository.commit()

    repository.update()
    repository.propose("open_pull_request.py")

    *_, create = repository.gh_calls()
    assert "--draft" in create["arguments"]
    assert "The checks fail" in create["input"]
    assert "`recieved` should be `received`" in create["input"]


@slow
@together
@on_github
def test_a_refused_push_says_which_token_it_takes(repository: Repository) -> None:
    repository.commit()
    hook = repository.origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    hook.chmod(0o755)
    proposal = {
        "branch": "template-update/v1.1.0",
        "commit": run("git", "rev-parse", "HEAD", cwd=repository.path).strip(),
    }
    repository.result.mkdir()
    (repository.result / "proposal.json").write_text(json.dumps(proposal), "utf-8")

    said = repository.propose("open_pull_request.py", status=1)

    assert "TEMPLATE_UPDATE_TOKEN" in said
    assert [call["arguments"][0] for call in repository.gh_calls()] == ["auth"]


@slow
@together
@on_github
def test_without_a_newer_release_nothing_is_proposed(repository: Repository) -> None:
    edit(repository.path / ".copier-answers.yml", "_commit: v1.0.0", "_commit: v1.1.0")
    repository.commit()

    said = repository.update()

    assert "v1.1.0 is the template's newest release" in said
    assert "nothing to propose" in repository.propose("open_pull_request.py")
    assert repository.gh_calls() == []


class GitLab(BaseHTTPRequestHandler):
    """Answers as GitLab does when a merge request is made, and keeps what it was sent."""

    received: list[tuple[str, str, dict[str, Any]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).received.append((self.path, self.headers["PRIVATE-TOKEN"], body))
        self.send_response(201)
        self.end_headers()
        self.wfile.write(b'{"web_url": "https://gitlab.example.com/orders/-/merge_requests/1"}')

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def gitlab() -> Iterator[str]:
    """The address of something that takes merge requests."""
    GitLab.received = []
    with ThreadingHTTPServer(("127.0.0.1", 0), GitLab) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api/v4"
        server.shutdown()


@slow
@together
@on_gitlab
def test_a_conflict_is_named_in_a_draft_and_never_committed(
    repository: Repository, gitlab: str
) -> None:
    edit(repository.path / "pyproject.toml", "max-complexity = 8", "max-complexity = 7")
    (repository.path / "justfile").write_text("# Our own.\n", "utf-8")
    repository.commit()

    repository.update()
    # The second job has a clone of its own, and of the first only what that has kept.
    shutil.rmtree(repository.path)
    shutil.rmtree(repository.result / "work")
    run("git", "clone", "--quiet", repository.origin, repository.path, cwd=repository.origin)
    said = repository.propose(
        "open_merge_request.py",
        CI_API_V4_URL=gitlab,
        CI_PROJECT_ID="7",
        CI_PROJECT_URL=repository.origin.with_suffix("").as_uri(),
        CI_DEFAULT_BRANCH="main",
        TEMPLATE_UPDATE_TOKEN="a-token",  # noqa: S106 - It opens nothing.
    )

    branch = "template-update/v1.1.0"
    pyproject = repository.shown(branch, "pyproject.toml")
    assert "max-complexity = 7" in pyproject
    # What did not conflict has come, also in the same file, and the lock has followed.
    assert '"pytest-timeout>=2.4"' in pyproject
    assert 'name = "pytest-timeout"' in repository.shown(branch, "uv.lock")
    assert_no_marker(repository, branch)

    ((path, token, asked),) = GitLab.received
    assert (path, token) == ("/api/v4/projects/7/merge_requests", "a-token")
    assert (asked["source_branch"], asked["target_branch"]) == (branch, "main")
    assert asked["title"] == "Draft: build: take over v1.1.0 of the template"
    # The release removes this file, but the service has edited it.
    assert repository.shown(branch, "justfile") == "# Our own.\n"
    named = asked["description"].partition("## Conflicts")[2]
    assert "### `justfile`\n\n    The release removed it" in named
    assert "### `pyproject.toml`" in named
    assert "    max-complexity = 7\n    =======\n    max-complexity = 9\n" in named
    assert "merge_requests/1" in said
    assert "a-token" not in said


def script() -> ModuleType:
    """Load the script as a module, for what no update makes happen at will."""
    spec = importlib.util.spec_from_file_location(
        "update_from_template", SCRIPTS / "update_from_template.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.md", f"{'<' * 7} before updating\n"),
        ("a.md", f"Mine.\n{'>' * 7} after updating\n"),
        ("a.py.rej", "diff a/a.py b/a.py\n"),
    ],
)
def test_an_unsettled_conflict_stops_the_commit(tmp_path: Path, name: str, text: str) -> None:
    run("git", "init", "--quiet", cwd=tmp_path)
    commit_all(tmp_path, "Nothing")
    (tmp_path / "b.md").write_text("A file without one.\n", "utf-8")
    run("git", "add", "--all", cwd=tmp_path)
    script().refuse_what_is_unsettled(tmp_path)
    (tmp_path / name).write_text(text, "utf-8")
    run("git", "add", "--all", cwd=tmp_path)

    with pytest.raises(SystemExit, match=f"Nothing is committed: conflicts in {name}"):
        script().refuse_what_is_unsettled(tmp_path)


def test_a_rejected_change_is_named_and_deleted(tmp_path: Path) -> None:
    run("git", "init", "--quiet", cwd=tmp_path)
    (tmp_path / "a.py.rej").write_text("What found no place.\n", "utf-8")

    assert script().settle_rejects(tmp_path) == {"a.py": "What found no place.\n"}
    assert not (tmp_path / "a.py.rej").exists()


def test_a_long_report_fits() -> None:
    body = script().described("v1 to v2", {"a.py": "x" * 100_000}, "", "")

    assert len(body) < 65_536
    assert body.endswith("The rest is omitted: it is too long.\n")
