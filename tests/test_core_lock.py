"""core.lock: it lists every file of core/, and the gate reports differences."""

import hashlib
import sys
from pathlib import Path

import copier
import pytest

from tests.answers import EACH_VARIANT, Answers
from tests.commands import commit_all, run
from tests.conftest import Render
from tests.releases import edit

CORE = Path("src/order_service/core")
EDITS = "[tool.core-lock.edits]\n"


def check(service: Path, *, passes: bool) -> str:
    """Run the gate's step, which requires only Python."""
    step = service / "src/order_service_dev/core_lock.py"
    return run(sys.executable, "-B", step, cwd=service, status=0 if passes else 1)


def record(service: Path, path: Path, reason: str) -> None:
    """Record an edit of core/ as the step's message requires."""
    edit(service / "pyproject.toml", EDITS, f'{EDITS}"{path.as_posix()}" = "{reason}"\n')


@pytest.mark.parametrize("answers", EACH_VARIANT)
def test_lock_lists_every_file_of_core(render: Render, answers: Answers) -> None:
    service = render(answers)
    lines = (service / "core.lock").read_text("utf-8").splitlines()
    locked = {path: digest for digest, path in (line.split("  ") for line in lines)}

    assert locked == {
        path.relative_to(service).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (service / CORE).rglob("*")
        if path.is_file()
    }
    assert check(service, passes=True) == ""


def test_difference_is_reported_until_it_is_recorded(project: Render) -> None:
    service = project({})
    differences = {
        CORE / "errors.py": "is changed",
        CORE / "http/health.py": "is missing",
        CORE / "own.py": "is added",
    }
    (service / CORE / "errors.py").write_text("# Mine.\n")
    (service / CORE / "http/health.py").unlink()
    (service / CORE / "own.py").write_text("# Mine.\n")

    said = check(service, passes=False)
    for path, difference in differences.items():
        assert f"{path} {difference}: no reason is recorded\n" in said
        assert f'"{path}" = "why"\n' in said
    for place in ("extras.py", "settings.py", "a feature", "the template"):
        assert place in said

    for path in differences:
        record(service, path, "A reason.")
    said = check(service, passes=True)
    assert said.splitlines() == [f"{path} {what}: A reason." for path, what in differences.items()]


def test_edit_without_reason_is_not_accepted(project: Render) -> None:
    service = project({})
    (service / CORE / "errors.py").write_text("# Mine.\n")
    record(service, CORE / "errors.py", "")

    assert "no reason is recorded" in check(service, passes=False)


def test_record_of_unchanged_file_is_reported(project: Render) -> None:
    service = project({})
    record(service, CORE / "errors.py", "It was changed once.")

    assert f"{CORE / 'errors.py'} is unchanged" in check(service, passes=False)


def test_line_endings_are_ignored(project: Render) -> None:
    service = project({})
    for path in [service / "core.lock", service / "pyproject.toml", *service.glob(f"{CORE}/**/*")]:
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert check(service, passes=True) == ""


@pytest.mark.parametrize("answers", [{"ci": "github"}, {"ci": "gitlab"}])
def test_gitattributes_keep_line_endings_and_mark_generated_files(
    project: Render, answers: Answers
) -> None:
    service = project({**answers, "kubernetes": True, "cache": "redis"})
    run("git", "init", "--quiet", cwd=service)
    generated = "linguist-generated" if answers["ci"] == "github" else "gitlab-generated"

    def attributes(name: str, attribute: str) -> str:
        asked = run("git", "check-attr", attribute, name, cwd=service)
        return asked.rpartition(": ")[2].strip()

    for name in ("core.lock", "uv.lock", f"{CORE}/http/health.py", "chart/templates/worker.yaml"):
        assert attributes(name, generated) == "set"
    for name in ("pyproject.toml", "src/order_service/items/router.py", "chart/values.yaml"):
        assert attributes(name, generated) == "unspecified"
        assert attributes(name, "eol") == "lf"


def test_update_merges_recorded_edit(template: Path, tmp_path: Path) -> None:
    releases = tmp_path / "template"
    run("git", "clone", "--quiet", template, releases, cwd=tmp_path)
    run("git", "tag", "v1", cwd=releases)
    source = releases / "template/src/{{ package_name }}/core/errors.py"
    source.write_text(f"{source.read_text('utf-8')}\n\n# The next release's last line.\n", "utf-8")
    commit_all(releases, "The next release")
    run("git", "tag", "v2", cwd=releases)
    service = tmp_path / "service"
    copier.run_copy(str(releases), service, vcs_ref="v1", defaults=True, quiet=True)
    run("git", "init", "--quiet", cwd=service)
    edit(service / CORE / "errors.py", '"""', '"""Mine: ')
    record(service, CORE / "errors.py", "A reason.")
    commit_all(service, "A service with an edit of its own")

    copier.run_update(service, vcs_ref="v2", defaults=True, overwrite=True, quiet=True)

    text = (service / CORE / "errors.py").read_text("utf-8")
    assert text.startswith('"""Mine: ')
    assert text.endswith("# The next release's last line.\n")
    changed = run("git", "status", "--porcelain", cwd=service).split()
    assert {"core.lock", str(CORE / "errors.py")} <= set(changed)
    assert "UU" not in changed
    assert check(service, passes=True) == f"{CORE / 'errors.py'} is changed: A reason.\n"
