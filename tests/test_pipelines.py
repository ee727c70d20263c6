"""The pipelines of services, and this repository's own: what can be said without running them."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.answers import ROOT, Answers
from tests.commands import commit_all, run
from tests.conftest import Render
from tests.pipelines import (
    GITHUB,
    GITLAB,
    gitlab_jobs,
    read_gitlab,
    run_steps,
    verbs,
    workflows,
)
from tests.releases import edit

TOOLS = Path(sys.executable).parent

pytestmark = pytest.mark.xdist_group("pipelines")

on_github = pytest.mark.parametrize("answers", list(GITHUB.values()), ids=list(GITHUB))
on_gitlab = pytest.mark.parametrize("answers", list(GITLAB.values()), ids=list(GITLAB))

OURS = [*sorted((ROOT / ".github" / "workflows").glob("*.yml"))]

PINNED = re.compile(r"uses: *([\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$")

WRITES = {
    ("release.yml", "image"): {
        "contents": "read",
        "packages": "write",
        "id-token": "write",
        "attestations": "write",
    },
    ("release.yml", "release"): {"contents": "write", "packages": "read"},
    ("template-update.yml", "propose"): {"contents": "write", "pull-requests": "write"},
}
"""What may do more than read the repository."""


def lint_workflows(files: list[Path], folder: Path, status: int = 0) -> str:
    """Have every linter look at workflows, and expect the same of each."""
    schema = (TOOLS / "check-jsonschema", "--builtin-schema")
    output = run(*schema, "vendor.github-workflows", *files, cwd=folder, status=status)
    output += run(
        *schema, "custom.github-workflows-require-timeout", *files, cwd=folder, status=status
    )
    output += run(
        TOOLS / "actionlint",
        f"-shellcheck={TOOLS / 'shellcheck'}",
        *files,
        cwd=folder,
        status=status,
    )
    return output


def zizmor(files: list[Path], folder: Path, persona: str) -> set[str]:
    """Name what zizmor finds, offline."""
    command: list[str | Path] = [
        TOOLS / "zizmor",
        "--offline",
        "--quiet",
        f"--persona={persona}",
        "--format=json",
    ]
    found = subprocess.run(
        [*command, *files], cwd=folder, capture_output=True, text=True, check=False
    )
    findings = json.loads(found.stdout)
    return {finding["ident"] for finding in findings if not finding["ignored"]}


@on_github
def test_linters_find_nothing_in_workflows(render: Render, answers: Answers) -> None:
    service = render(answers)
    files = sorted((service / ".github" / "workflows").glob("*.yml"))

    lint_workflows(files, service)
    assert zizmor(files, service, "regular") == set()
    # The images are those of compose.yaml, by their versions; a bot adds digests to all.
    assert zizmor(files, service, "pedantic") <= {"unpinned-images"}


def test_linters_find_nothing_in_our_own_workflows() -> None:
    lint_workflows(OURS, ROOT)
    assert zizmor(OURS, ROOT, "pedantic") == set()


@pytest.mark.parametrize(
    ("fault", "linter"),
    [
        (("    runs-on: ubuntu-24.04\n", "    runs-at: ubuntu-24.04\n"), "vendor.github-workflows"),
        (("    timeout-minutes: 10\n", ""), "custom.github-workflows-require-timeout"),
        (("github.ref_type", "github.reftype"), "actionlint"),
    ],
)
def test_the_linters_are_not_blind(project: Render, fault: tuple[str, str], linter: str) -> None:
    file = project({}) / ".github" / "workflows" / "ci.yml"
    edit(file, *fault)

    if linter == "actionlint":
        run(TOOLS / linter, file, cwd=file.parent, status=1)
    else:
        check = (TOOLS / "check-jsonschema", "--builtin-schema")
        run(*check, linter, file, cwd=file.parent, status=1)


def test_zizmor_is_not_blind(project: Render) -> None:
    file = project({}) / ".github" / "workflows" / "ci.yml"
    text = file.read_text("utf-8")
    file.write_text(re.sub(r"@[0-9a-f]{40} # (v\d+).*", r"@\1", text), "utf-8")

    assert "unpinned-uses" in zizmor([file], file.parent, "regular")


@on_gitlab
def test_gitlab_understands_its_pipeline(project: Render, answers: Answers) -> None:
    file = project(answers) / ".gitlab-ci.yml"
    check = (
        *(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci"),
        *("--data-transform", "gitlab-ci", file),
    )

    run(*check, cwd=file.parent)
    edit(file, "interruptible: true", "interruptable: true")
    run(*check, cwd=file.parent, status=1)


def uses() -> Iterator[tuple[Path, str]]:
    """Find every line that uses an action, in this repository and in the template."""
    for folder in (ROOT, ROOT / "template"):
        for path in sorted((folder / ".github" / "workflows").iterdir()):
            for line in path.read_text("utf-8").splitlines():
                if re.search(r"^\s*(- )?uses:", line) and "uses: ./" not in line:
                    yield path, line


def test_each_action_is_pinned_to_one_commit_with_its_version_beside_it() -> None:
    pins: dict[str, set[tuple[str, str]]] = {}
    for path, line in uses():
        found = PINNED.search(line)
        assert found, f"{path}: {line}"
        pins.setdefault(found[1], set()).add((found[2], found[3]))

    assert {action: found for action, found in pins.items() if len(found) > 1} == {}
    assert {"actions/checkout", "astral-sh/setup-uv"} < set(pins)


@on_github
def test_workflows_may_do_no_more_than_they_have_to(render: Render, answers: Answers) -> None:
    found = workflows(render(answers))

    assert set(found) >= {"ci.yml", "audit.yml", "release.yml"}
    for file, workflow in found.items():
        assert workflow["permissions"] == {}, file
        assert "concurrency" in workflow, file
        for name, job in workflow["jobs"].items():
            expected = WRITES.get((file, name), {"contents": "read"})
            assert job["permissions"] == expected, f"{file}: {name}"
            for step in job.get("steps", []):
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False
    # A newer commit ends the run of an older one, and nothing ends that of a release.
    assert found["ci.yml"]["concurrency"]["cancel-in-progress"] == "${{ github.ref_type != 'tag' }}"
    assert found["release.yml"]["concurrency"]["cancel-in-progress"] is False
    assert found["release.yml"]["on"] == {"push": {"tags": ["v*"]}}
    assert found["audit.yml"]["on"]["schedule"]


def checks(service: Path) -> list[str]:
    """List the verbs of `poe check`, the hooks, and the site where there is one."""
    tasks = tomllib.loads((service / "pyproject.toml").read_text("utf-8"))["tool"]["poe"]["tasks"]
    site = ["docs"] if "docs" in tasks else []
    sequence: list[str] = tasks["check"]["sequence"]
    return [*sequence, "hooks", *site]


@on_github
def test_workflows_run_the_verbs_of_the_check(render: Render, answers: Answers) -> None:
    service = render(answers)
    jobs = workflows(service)["ci.yml"]["jobs"]

    quality, test = (verbs(run_steps(jobs[name])) for name in ("quality", "test"))

    *static, last = checks(service)[: checks(service).index("hooks")]
    assert last == "test"
    assert quality == static + checks(service)[checks(service).index("hooks") :]
    assert [verb for verb in test if verb != "coverage"] == ["test"]
    assert ("migrations" in jobs) is (answers.get("database") != "none")
    newest = {"3.14", answers.get("python_version", "3.11")}
    assert set(jobs["test"]["strategy"]["matrix"]["python"]) == newest


@on_gitlab
def test_gitlab_runs_the_verbs_of_the_check(render: Render, answers: Answers) -> None:
    service = render(answers)
    jobs = gitlab_jobs(read_gitlab(service))

    quality, test = (verbs(jobs[name]["script"]) for name in ("quality", "test"))

    *static, last = checks(service)[: checks(service).index("hooks")]
    assert last == "test"
    assert quality == static + checks(service)[checks(service).index("hooks") :]
    assert test == ["test", "coverage"]
    assert ("migrations" in jobs) is (answers.get("database") != "none")
    (matrix,) = jobs["test"]["parallel"]["matrix"]
    assert set(matrix["PYTHON"]) == {"3.14", answers.get("python_version", "3.11")}


def servers(service: Path) -> set[str]:
    """Name the images of the servers that compose.yaml runs for the service itself."""
    composed = yaml.safe_load((service / "compose.yaml").read_text("utf-8"))["services"]
    return {composed[name]["image"] for name in ("database", "redis") if name in composed}


@on_github
def test_github_tests_with_the_servers_of_compose(render: Render, answers: Answers) -> None:
    service = render(answers)
    jobs = workflows(service)["ci.yml"]["jobs"]

    beside = jobs["test"].get("services", {})
    assert {one["image"] for one in beside.values()} == servers(service)
    if "database" in beside:
        assert jobs["migrations"]["services"]["database"]["image"] == beside["database"]["image"]
    # act runs both on one machine, where a port can be taken once.
    ports = [
        port.partition(":")[0]
        for name in ("test", "migrations")
        for one in jobs.get(name, {}).get("services", {}).values()
        for port in one["ports"]
    ]
    assert len(ports) == len(set(ports))


@on_gitlab
def test_gitlab_tests_with_the_servers_of_compose(render: Render, answers: Answers) -> None:
    service = render(answers)
    jobs = gitlab_jobs(read_gitlab(service))

    beside = {one["alias"]: one["name"] for one in jobs["test"].get("services", [])}
    assert set(beside.values()) == servers(service)
    if "database" in beside:
        (database,) = jobs["migrations"]["services"]
        assert database["name"] == beside["database"]


@on_gitlab
def test_gitlab_s_jobs_end_in_time_and_are_never_run_twice(
    render: Render, answers: Answers
) -> None:
    document = read_gitlab(render(answers))
    jobs = gitlab_jobs(document)

    assert {name for name, job in jobs.items() if "timeout" not in job} == set()
    # Without rules of its own, a job would be left out of the pipelines of merge requests.
    assert {name for name, job in jobs.items() if "rules" not in job} == set()
    released = {"notes", "publish", "release"}
    assert {name for name, job in jobs.items() if not job["interruptible"]} == released
    # A pipeline for a branch is of the default branch, which no merge request has.
    conditions = [rule["if"] for rule in document["workflow"]["rules"]]
    assert '$CI_PIPELINE_SOURCE == "merge_request_event"' in conditions
    assert [one for one in conditions if "CI_COMMIT_BRANCH" in one] == [
        "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"
    ]
    for name in released:
        assert jobs[name]["rules"] == [{"if": "$CI_COMMIT_TAG"}]
    # Packages are kept inside of the project, where nothing may take them for a part of it.
    cache = jobs["quality"]["cache"]
    assert cache["key"]["files"] == ["uv.lock"]
    assert jobs["quality"]["variables"]["UV_CACHE_DIR"] == "$CI_PROJECT_DIR/.uv-cache"
    assert cache["paths"] == [".uv-cache"]


@on_gitlab
def test_gitlab_s_cache_is_no_part_of_the_project(render: Render, answers: Answers) -> None:
    assert ".uv-cache/" in (render(answers) / ".gitignore").read_text("utf-8").splitlines()


@on_gitlab
def test_gitlab_s_image_has_the_uv_of_the_dockerfile(render: Render, answers: Answers) -> None:
    service = render(answers)
    document = read_gitlab(service)
    dockerfile = (service / "Dockerfile").read_text("utf-8")

    version = document["variables"]["UV_VERSION"]
    assert f"FROM ghcr.io/astral-sh/uv:{version} AS uv" in dockerfile.splitlines()
    image = "ghcr.io/astral-sh/uv:$UV_VERSION-python$PYTHON-bookworm-slim"
    assert document["default"]["image"] == image
    assert document["variables"]["PYTHON"] == answers.get("python_version", "3.11")


def test_a_platform_s_files_are_there_alone(render: Render) -> None:
    github, gitlab = render(GITHUB["sqlite"]), render(GITLAB["gitlab-all-on"])

    assert not list(github.glob(".gitlab*"))
    assert not (gitlab / ".github").exists()
    assert read_gitlab(gitlab)["include"] == [{"local": ".gitlab/template-update.yml"}]
    assert "include" not in read_gitlab(render(GITLAB["gitlab"]))


def test_scripts_of_the_pipeline_have_no_fault(render: Render) -> None:
    for answers in (*GITHUB.values(), *GITLAB.values()):
        scripts = [render(answers) / "deploy" / f"{verb}-image.sh" for verb in ("try", "scan")]
        run(TOOLS / "shellcheck", *scripts, cwd=ROOT)


def test_a_release_says_what_its_commits_did(render: Render, tmp_path: Path) -> None:
    service = shutil.copytree(render({}), tmp_path / "service")
    run("git", "init", "--quiet", cwd=service)
    commit_all(service, "feat: begin")
    run("git", "tag", "v0.1.0", cwd=service)
    for message in ("fix(items): count right", "feat!: drop prices", "docs: say so", "Unsorted"):
        commit_all(service, message)
    run("git", "tag", "v0.2.0", cwd=service)

    run(TOOLS / "git-cliff", "--latest", "--output", "notes.md", cwd=service)

    assert (service / "notes.md").read_text("utf-8").strip() == (
        "### Added\n\n- **Breaking:** Drop prices\n\n"
        "### Fixed\n\n- Count right\n\n"
        "### Beside the service\n\n- Say so"
    )


def test_our_release_takes_the_changelog_s_entry(tmp_path: Path) -> None:
    steps = workflows(ROOT)["release.yml"]["jobs"]["release"]["steps"]
    (script,) = [step["run"] for step in steps if step.get("name") == "Take the changelog's entry"]
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    bash = ["bash", "-e", "-o", "pipefail", "-c", script]

    run(*bash, cwd=tmp_path, environment={"GITHUB_REF_NAME": "v0.1.0"})
    notes = (tmp_path / "notes.md").read_text("utf-8")
    assert "A FastAPI service from a few questions" in notes
    assert "## [" not in notes
    run(*bash, cwd=tmp_path, environment={"GITHUB_REF_NAME": "v99.0.0"}, status=1)


def test_our_own_settings_are_what_their_readers_expect() -> None:
    run(
        *(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.renovate", "renovate.json"),
        cwd=ROOT,
    )
    run(TOOLS / "pre-commit", "validate-config", cwd=ROOT)
