"""Updates: new standards arrive, and nothing that is the user's gets lost."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import copier
import pytest
import yaml
from copier.errors import UserMessageError
from pathspec import PathSpec

from tests.answers import Answers, choices
from tests.commands import commit_all, run
from tests.releases import (
    NEXT,
    assert_no_conflict,
    contents,
    copy,
    copy_only,
    edit,
    make_next_release,
    moves,
    past_releases,
    present_version,
)
from tests.releases import update as update_with_command

pytestmark = [pytest.mark.slow, pytest.mark.update]

COPIER = Path(sys.executable).with_name("copier")

ANSWERS_FILE = ".copier-answers.yml"

WRITE_ONCE = ["/README.md", "/CHANGELOG.md", "/LICENSE", "/src/*/extras.py", "/src/*/settings.py"]
"""What `copier update` leaves alone; docs/update.md says so too."""

# The step from the newest past release is what most users take next; the step from this
# tree to a later one shows that this tree can be left again.
STEPS = [
    *[(release, present_version()) for release in list(past_releases())[-1:]],
    (present_version(), NEXT),
]

SETS: dict[str, Answers] = {
    "defaults": {},
    "layered-sqlite": {"layout": "layered", "database": "sqlite", "license": "MIT"},
    "bare": {"database": "none", "auth": "none"},
}

UNTOUCHED = [
    *[(release, present_version(), "defaults") for release in list(past_releases())[:-1]],
    *[(old, new, answers) for old, new in STEPS for answers in SETS],
]

SWITCHES: list[tuple[Answers, Answers]] = [
    ({"auth": "none"}, {"auth": "jwt"}),
    ({"auth": "jwt"}, {"auth": "none"}),
    ({"database": "postgresql"}, {"database": "sqlite"}),
    ({"database": "sqlite"}, {"database": "postgresql"}),
    ({"database": "none", "auth": "none"}, {"database": "postgresql"}),
    ({"database": "none", "auth": "none"}, {"database": "sqlite", "auth": "jwt"}),
    ({"database": "postgresql"}, {"database": "none", "auth": "none"}),
    ({"layout": "layered", "auth": "none"}, {"auth": "jwt"}),
    ({"layout": "layered", "auth": "jwt"}, {"auth": "none"}),
    ({"layout": "layered", "database": "none", "auth": "none"}, {"database": "sqlite"}),
    ({"secrets": "platform"}, {"secrets": "aws"}),
    ({"secrets": "vault"}, {"secrets": "platform"}),
    ({"python_version": "3.11"}, {"python_version": "3.13"}),
    ({"cache": "redis"}, {"jobs": "taskiq", "parts": ["rate_limits", "http_client"]}),
    ({"layout": "layered", "jobs": "taskiq"}, {"jobs": "celery"}),
    ({"jobs": "celery"}, {"jobs": "none", "cache": "memory"}),
    ({"observability": []}, {"observability": choices("observability")}),
    ({"observability": choices("observability")}, {"observability": ["tracing"]}),
    ({"data_tools": True, "codecov": True}, {"data_tools": False, "codecov": False}),
    ({"cache": "redis", "kubernetes": True}, {"kubernetes": False, "proxy": "nginx"}),
    ({"cache": "redis", "proxy": "traefik"}, {"kubernetes": True, "proxy": "none"}),
    ({"ci": "github"}, {"ci": "gitlab", "dependency_bot": "none"}),
    ({"ci": "gitlab", "dependency_bot": "none"}, {"ci": "github", "dependency_bot": "dependabot"}),
    ({"dependency_bot": "renovate"}, {"dependency_bot": "none", "docs_site": True}),
    ({"dependency_bot": "dependabot", "docs_site": True}, {"docs_site": False}),
    ({"layout": "layered", "data_tools": False}, {"data_tools": True, "codecov": True}),
]

Copy = Callable[..., Path]


def update(service: Path, release: str | None, answers: Answers | None = None) -> None:
    """Update a service, without trust and without a question."""
    copier.run_update(
        service,
        data=dict(answers or {}),
        vcs_ref=release,
        defaults=True,
        overwrite=True,
        quiet=True,
    )


def stored(service: Path) -> Answers:
    """Return a service's answers; an update keeps parts that a copy would not choose."""
    answers = yaml.safe_load((service / ANSWERS_FILE).read_text("utf-8"))
    return {name: answer for name, answer in answers.items() if not name.startswith("_")}


def is_write_once(name: str) -> bool:
    """Tell whether an update leaves a file alone."""
    return PathSpec.from_lines("gitignore", WRITE_ONCE).match_file(name)


def assert_same(updated: Path, fresh: Path, before: dict[str, str]) -> None:
    """An update leads where a copy leads, except for what it leaves alone."""
    now, expected = contents(updated), contents(fresh)
    for files in (now, expected):
        files.pop(ANSWERS_FILE)
    kept = {name: text for name, text in before.items() if is_write_once(name)}
    assert {name: text for name, text in now.items() if is_write_once(name)} == kept
    assert {name: text for name, text in now.items() if not is_write_once(name)} == {
        name: text for name, text in expected.items() if not is_write_once(name)
    }


@pytest.mark.parametrize(("old", "new", "answers"), UNTOUCHED)
def test_an_untouched_service_becomes_a_fresh_one(
    releases: Path, tmp_path: Path, old: str, new: str, answers: str
) -> None:
    service = copy(releases, tmp_path / "service", old, SETS[answers])
    before = contents(service)

    said = update_with_command(service, new)

    assert "Nothing is left to settle." in said
    assert_no_conflict(service)
    # What a new release asks has other defaults in a service that is there already.
    assert_same(service, copy_only(releases, tmp_path / "fresh", new, stored(service)), before)


@pytest.mark.parametrize("layout", ["domain", "layered"])
@pytest.mark.parametrize(("old", "new"), STEPS)
def test_what_a_user_did_is_still_there(
    releases: Path, tmp_path: Path, old: str, new: str, layout: str
) -> None:
    service = copy(releases, tmp_path / "service", old, {"layout": layout})
    package = service / "src" / "order_service"
    pyproject = service / "pyproject.toml"
    # Files of the core are edited at their ends, in the middle of a list and below a line.
    health = "core/http/health.py" if (package / "core/http").is_dir() else "core/health.py"
    with (package / health).open("a", encoding="utf-8") as core:
        core.write('\nMINE = "my own line"\n')
    edit(pyproject, '"structlog>=26.1"', '"structlog>=26.1,!=26.1.1"')
    marker = "    # Your own dependencies go below this line.\n"
    edit(pyproject, marker, f'{marker}    "humanize>=4",\n')
    marker = "    # Your own development tools go below this line.\n"
    edit(pyproject, marker, f'{marker}    "ipdb>=0.13",\n')
    edit(package / "settings.py", '"""', '"""Mine. ')
    edit(package / "extras.py", '"""', '"""Mine. ')
    with (service / ".env.example").open("a", encoding="utf-8") as example:
        example.write("\n# GREETING=Hello\n")
    (service / "README.md").write_text("# My own words\n", "utf-8")
    # One file is deleted, and so is the whole example.
    (service / "justfile").unlink()
    example_files = list(package.glob("*/items.py"))
    for path in example_files:
        path.unlink()
    shutil.rmtree(package / "items", ignore_errors=True)
    # A feature of one's own.
    feature = package / ("orders" if layout == "domain" else "api")
    feature.mkdir(exist_ok=True)
    (feature / "own_router.py").write_text('"""Orders."""\n', "utf-8")
    commit_all(service, "My own work")
    mine = contents(service)

    # What imports the deleted example is reported.
    update_with_command(service, new, status=None)

    assert_no_conflict(service)
    now = contents(service)
    assert 'MINE = "my own line"' in now["src/order_service/core/http/health.py"]
    for line in ('"structlog>=26.1,!=26.1.1"', '"humanize>=4"', '"ipdb>=0.13"'):
        assert line in now["pyproject.toml"]
    assert "# GREETING=Hello" in now[".env.example"]
    declared = moves()
    for name in mine:
        assert name in now or declared.targets(name, now) or declared.reason(name), name
        if is_write_once(name) or name.endswith("own_router.py"):
            assert now[name] == mine[name], name
    assert "justfile" not in now
    assert not (package / "items").exists()
    assert not [path for path in example_files if path.exists()]


def test_the_next_release_reaches_an_edited_service(releases: Path, tmp_path: Path) -> None:
    service = copy(releases, tmp_path / "service", present_version(), {})
    core = service / "src" / "order_service" / "core"
    health = core / "http" / "health.py"
    with health.open("a", encoding="utf-8") as file:
        file.write('\nMINE = "my own line"\n')
    commit_all(service, "My own work")

    update(service, None)

    assert "Changed by the next release." in health.read_text("utf-8")
    assert (core / "novelty.py").is_file()
    assert '"pytest-timeout>=2.4",' in (service / "pyproject.toml").read_text("utf-8")
    assert "Changed" not in (service / "LICENSE").read_text("utf-8")
    answers = yaml.safe_load((service / ANSWERS_FILE).read_text("utf-8"))
    assert answers["_commit"] == NEXT


@pytest.mark.parametrize(
    ("before", "after"), SWITCHES, ids=lambda answers: "-".join(map(str, answers.values()))
)
def test_an_answer_can_change_later(
    releases: Path, tmp_path: Path, before: Answers, after: Answers
) -> None:
    release = present_version()
    service = copy(releases, tmp_path / "service", release, before)
    old = contents(service)

    update(service, release, after)

    assert_no_conflict(service)
    answers = stored(service)
    assert_same(service, copy_only(releases, tmp_path / "fresh", release, answers), old)


def test_a_service_of_one_s_own_survives_a_switch(releases: Path, tmp_path: Path) -> None:
    release = present_version()
    service = copy(releases, tmp_path / "service", release, {"auth": "jwt"})
    mine = service / "src" / "order_service" / "users" / "mine.py"
    mine.write_text('"""Mine."""\n', "utf-8")
    commit_all(service, "My own work")

    update(service, release, {"auth": "none"})

    assert mine.read_text("utf-8") == '"""Mine."""\n'
    assert not (mine.parent / "service.py").exists()


@pytest.mark.parametrize("before", ["domain", "layered"])
def test_the_layout_does_not_change(releases: Path, tmp_path: Path, before: str) -> None:
    release = present_version()
    service = copy(releases, tmp_path / "service", release, {"layout": before})
    other = {"domain": "layered", "layered": "domain"}[before]

    with pytest.raises(UserMessageError, match=f"chosen once.*this one stays {before}"):
        update(service, release, {"layout": other})
    assert not run("git", "status", "--porcelain", cwd=service)

    complete = yaml.safe_load((service / ANSWERS_FILE).read_text("utf-8"))
    complete = {name: text for name, text in complete.items() if not name.startswith("_")}
    with pytest.raises(UserMessageError, match=f"this one stays {before}"):
        update(service, release, {**complete, "layout": other})

    # To say it again is no change.
    update(service, release, {"layout": before, "python_version": "3.12"})
    assert_no_conflict(service)


def test_a_database_with_users_in_it_is_not_dropped_silently(
    releases: Path, tmp_path: Path
) -> None:
    service = copy(releases, tmp_path / "service", present_version(), {})

    with pytest.raises(UserMessageError, match="jwt keeps users, so it needs a database"):
        update(service, present_version(), {"database": "none"})
    assert not run("git", "status", "--porcelain", cwd=service)


def test_a_stricter_release_renames_nothing(template: Path, tmp_path: Path) -> None:
    clone = tmp_path / "template"
    run("git", "clone", "--quiet", template, clone, cwd=tmp_path)
    service = copy(clone, tmp_path / "service", "HEAD", {"package_name": "shop"})
    edit(clone / "extensions" / "macros" / "names.jinja", "activate", "shop activate")
    commit_all(clone, "Reserve a name")

    update(service, "HEAD", {"python_version": "3.12"})

    assert_no_conflict(service)
    assert (service / "src" / "shop" / "main.py").is_file()
    answers = yaml.safe_load((service / ANSWERS_FILE).read_text("utf-8"))
    assert (answers["package_name"], answers["python_version"]) == ("shop", "3.12")


def test_a_dirty_tree_is_refused(releases: Path, tmp_path: Path) -> None:
    service = copy(releases, tmp_path / "service", present_version(), {})
    (service / "README.md").write_text("Not committed.\n", "utf-8")

    with pytest.raises(UserMessageError, match="commit or stash your local changes"):
        update(service, NEXT)
    assert (service / "README.md").read_text("utf-8") == "Not committed.\n"


def test_without_tags_and_from_a_bare_repository(template: Path, tmp_path: Path) -> None:
    origin = tmp_path / "groundplan.git"
    run("git", "clone", "--quiet", "--bare", template, origin, cwd=tmp_path)
    service = copy(origin.as_uri(), tmp_path / "service", "HEAD", {})
    before = contents(service)
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", origin.as_uri(), clone, cwd=tmp_path)
    make_next_release(clone)
    commit_all(clone, "The next release")
    run("git", "push", "--quiet", "origin", "HEAD", cwd=clone)

    update(service, "HEAD")

    assert_no_conflict(service)
    assert_same(service, copy_only(origin.as_uri(), tmp_path / "fresh", "HEAD", {}), before)
    assert (service / "src" / "order_service" / "core" / "novelty.py").is_file()


def test_the_command_says_what_to_do_next(releases: Path, tmp_path: Path) -> None:
    service = copy(releases, tmp_path / "service", present_version(), {})

    said = run(COPIER, "update", "--defaults", cwd=service)

    assert "Order Service is updated." in said
    assert "uv lock && uv sync" in said
    assert "novelty.py" in run("git", "status", "--porcelain", cwd=service)
