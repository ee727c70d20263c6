"""Pipelines, run by act and by gitlab-ci-local: green for a good service, red for each fault.

What takes long is left to the service: its tests run here without a database, and no list of
vulnerabilities is fetched.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.answers import ALL_OFF, ROOT, Answers
from tests.commands import commit_all, run
from tests.delivery.engine import BASE, STAND_INS, build, has_image
from tests.delivery.project import Project
from tests.releases import edit

MakeProject = Callable[[str, Answers], Project]

ACT = Path(sys.executable).with_name("act")

RUNNER = "groundplan-runner:test"
PACKAGES = "groundplan-packages"

SMALL: Answers = {**ALL_OFF, "python_version": "3.11"}

SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")


@pytest.fixture(scope="module")
def runner(engine: Path) -> Iterator[str]:
    """The image that jobs run in; where uv's own is out of reach, it also stands in for that."""
    assert engine.is_dir()
    dockerfile = (ROOT / "template" / "Dockerfile.jinja").read_text("utf-8")
    found = re.search(r"^FROM ghcr\.io/astral-sh/uv:([\d.]+) ", dockerfile, re.MULTILINE)
    assert found
    build(STAND_INS / "runner", RUNNER, BASE=BASE, UV=found[1])
    image = f"ghcr.io/astral-sh/uv:{found[1]}-python{SMALL['python_version']}-bookworm-slim"
    is_real = has_image(image)
    if not is_real:
        run("docker", "tag", RUNNER, image, cwd=STAND_INS)
    yield RUNNER
    if not is_real:
        run("docker", "image", "rm", image, cwd=STAND_INS)
    run("docker", "volume", "rm", "--force", PACKAGES, cwd=STAND_INS)


def repository(project: Project) -> Project:
    """Put a service under version control, as a pipeline expects it."""
    run("git", "init", "--quiet", cwd=project.folder)
    commit_all(project.folder, "feat: begin")
    return project


@pytest.fixture(scope="module")
def github(runner: str, make_project: MakeProject) -> Project:
    """A small service with workflows."""
    assert runner
    return repository(make_project("github", SMALL))


@pytest.fixture(scope="module")
def gitlab(runner: str, make_project: MakeProject) -> Project:
    """A small service with a pipeline of GitLab."""
    assert runner
    return repository(make_project("gitlab", {**SMALL, "ci": "gitlab"}))


def run_workflow(
    project: Project, job: str, *options: str, workflow: str = "ci", status: int = 0
) -> str:
    """Have act run a job of a workflow; actions of others are stood in for."""
    file = f".github/workflows/{workflow}.yml"
    uses = re.findall(
        r"uses: ([\w-]+/([\w-]+)@\w{40})",
        (project.folder / file).read_text("utf-8"),
    )
    stand_ins = {
        f"--local-repository={action}={STAND_INS / 'actions' / name}"
        for action, name in uses
        if (STAND_INS / "actions" / name).is_dir()
    }
    return run(
        *(ACT, "push", f"--workflows={file}", f"--job={job}", "--rm"),
        *(f"--platform=ubuntu-24.04={RUNNER}", "--pull=false", "--action-offline-mode"),
        *("--no-cache-server", f"--container-daemon-socket=unix://{SOCKET}"),
        f"--container-options=--volume={PACKAGES}:/root/.cache/uv",
        *sorted(stand_ins),
        *options,
        cwd=project.folder,
        environment={"XDG_CACHE_HOME": str(project.folder.parent / "act")},
        status=status,
    )


def run_pipeline(project: Project, job: str, *options: str, status: int = 0) -> str:
    """Have gitlab-ci-local run a job, in a container that speaks to the engine."""
    folder = project.folder
    return run(
        *("docker", "run", "--rm", f"--volume={SOCKET}:/var/run/docker.sock"),
        *(f"--volume={folder}:{folder}", f"--workdir={folder}"),
        *("--env=GIT_CONFIG_COUNT=1", "--env=GIT_CONFIG_KEY_0=safe.directory"),
        *("--env=GIT_CONFIG_VALUE_0=*", "--env=DOCKER_HOST=unix:///var/run/docker.sock"),
        *(RUNNER, "/opt/node/bin/node", "/opt/gitlab/node_modules/gitlab-ci-local/dist/index.js"),
        *("--pull-policy=if-not-present", f"--helper-image={RUNNER}"),
        *options,
        job,
        cwd=folder,
        status=status,
    )


@contextmanager
def planted(project: Project, file: str, old: str, new: str) -> Iterator[None]:
    """Commit a fault, and take it back."""
    path = next(project.folder.glob(file))
    edit(path, old, new)
    commit_all(project.folder, "feat: break something")
    try:
        yield
    finally:
        # Or the fault would fail the tests that come after a failed one, too.
        run("git", "reset", "--quiet", "--hard", "HEAD~1", cwd=project.folder)


UNTYPED = (
    "src/*/core/http/health.py",
    "service: str = DISTRIBUTION",
    "service: int = DISTRIBUTION",
)


def test_github_runs_every_check(github: Project) -> None:
    said = run_workflow(github, "quality")

    checks = (
        "format",
        "lint",
        "rules",
        "types",
        "contracts",
        "core",
        "dependencies",
        "spelling",
        "hooks",
    )
    for verb in checks:
        assert f"Success - Main uv run poe {verb}" in said, said
    assert "no secret" in said


def test_github_refuses_types_that_do_not_agree(github: Project) -> None:
    with planted(github, *UNTYPED):
        said = run_workflow(github, "quality", status=1)

    assert "Failure - Main uv run poe types" in said, said


def test_github_runs_the_tests(github: Project) -> None:
    # The Python is the one that the stand-in has.
    assert "Success - Main uv run poe test" in run_workflow(github, "test", "--matrix=python:3.14")

    fault = ("tests/test_items.py", "response.status_code == 201", "response.status_code == 200")
    with planted(github, *fault):
        said = run_workflow(github, "test", "--matrix=python:3.14", status=1)

    assert "Failure - Main uv run poe test" in said, said


def test_github_builds_and_starts_the_image(github: Project) -> None:
    said = run_workflow(github, "build")
    assert "starts, is healthy, and stops gracefully." in said

    with planted(github, "Dockerfile", 'CMD ["serve"]', 'CMD ["openapi"]'):
        said = run_workflow(github, "build", status=1)

    assert "does not become healthy" in said, said


def test_github_releases_a_tag_that_is_the_version(github: Project) -> None:
    run("git", "tag", "--force", "v0.1.0", cwd=github.folder)
    event = github.folder.parent / "event.json"
    for tag, status, said in (
        ("v0.1.0", 0, "Success - Main The changelog has an entry"),
        ("v0.2.0", 1, "Failure - Main The tag is the version"),
    ):
        event.write_text(json.dumps({"ref": f"refs/tags/{tag}"}), "utf-8")
        option = f"--eventpath={event}"
        assert said in run_workflow(github, "notes", option, workflow="release", status=status)


def test_gitlab_runs_every_check(gitlab: Project) -> None:
    said = run_pipeline(gitlab, "quality")

    assert re.search(r"PASS.*quality", said), said
    assert "no secret" in said


def test_gitlab_writes_what_a_release_says(gitlab: Project) -> None:
    run("git", "tag", "--force", "v0.1.0", cwd=gitlab.folder)

    run_pipeline(gitlab, "notes", "--variable=CI_COMMIT_TAG=v0.1.0")

    notes = (gitlab.folder / "notes.md").read_text("utf-8")
    assert notes.strip().startswith("### Added\n\n- Begin\n")
    assert re.search(r"(?m)^Image: .+:0\.1\.0$", notes)


def test_gitlab_refuses_a_secret(gitlab: Project) -> None:
    token = "ghp_" + "k3Jw9ZpQx7Lr2VtB8nYc5HsD1mGf6aEuTq4X"
    with planted(gitlab, "README.md", "# ", f"{token}\n\n# "):
        said = run_pipeline(gitlab, "quality", status=1)

    assert re.search(r"no secret\.+.*Failed", said), said
    assert token not in said
