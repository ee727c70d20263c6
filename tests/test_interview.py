"""The interview in a terminal, without one, and from a file of answers."""

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pyte
import pytest
import yaml

from tests.answers import QUESTIONS, Answers
from tests.commands import run

COPIER = Path(sys.executable).with_name("copier")

ENTER = "\r"
DOWN = "\x1b[B"
UP = "\x1b[A"
CLEAR_LINE = "\x15"


class Interview:
    """A user at a terminal of 80 columns who answers one question after another."""

    def __init__(self, *arguments: str | Path, cwd: Path) -> None:
        self._screen = pyte.HistoryScreen(80, 40)
        self._stream = pyte.Stream(self._screen)
        self._copier = pexpect.spawn(
            str(COPIER),
            [str(argument) for argument in arguments],
            cwd=str(cwd),
            dimensions=(40, 80),
            encoding="utf-8",
            # The pseudo-terminal cannot report a cursor position, so no program should query it.
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
        )

    def read(self) -> str:
        """Read the screen as it is now, one line of it per line."""
        with contextlib.suppress(pexpect.TIMEOUT):
            self._stream.feed(self._copier.read_nonblocking(4096, timeout=0.1))
        return "\n".join(line.rstrip() for line in self._screen.display)

    def wait_for(self, text: str, *, seconds: float = 30) -> str:
        """Read until the screen shows a text, and return the screen."""
        deadline = time.monotonic() + seconds
        while text not in (screen := self.read()):
            assert time.monotonic() < deadline, f"{text!r} is not on the screen:\n{screen}"
        return screen

    def answer(self, question: str, *keys: str) -> None:
        """Wait for a question's help on a separate line, then type."""
        self.wait_for(QUESTIONS[question]["help"])
        self.type(*keys, ENTER)

    def decide(self, question: str, key: str) -> None:
        """Wait for a question that one key answers, and press it."""
        self.wait_for(QUESTIONS[question]["help"])
        self.type(key)

    def type(self, *keys: str) -> None:
        """Type without waiting for anything."""
        for key in keys:
            self._copier.send(key)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._copier.sendintr()

    def finish(self) -> tuple[int, str]:
        """Read to the end and return the exit status and the last screen."""
        deadline = time.monotonic() + 60
        with contextlib.suppress(EOFError, pexpect.EOF):
            while True:
                screen = self.read()
                assert time.monotonic() < deadline, f"It does not end:\n{screen}"
        self._copier.close()
        status = self._copier.exitstatus
        assert status is not None, screen
        return status, "\n".join(line.rstrip() for line in self._screen.display)

    def close(self) -> None:
        """Leave, whatever is on the screen."""
        self._copier.close(force=True)


@pytest.fixture
def interview(template: Path, tmp_path: Path) -> Iterator[Interview]:
    """The interview of `copier copy` into the folder `shop`."""
    person = Interview("copy", "--vcs-ref", "HEAD", template, "shop", cwd=tmp_path)
    yield person
    person.close()


ASKED_WITH_A_PRESET = [
    "preset",
    "project_name",
    "package_name",
    "description",
    "author_name",
    "license",
    "ci",
]

# With nothing but defaults, limits count per process, so there is no question about pods.
ASKED = [question for question in QUESTIONS if question not in {"preset", "kubernetes"}]


def stored_answers(service: Path) -> Answers:
    """Read the service's stored answers."""
    answers = yaml.safe_load((service / ".copier-answers.yml").read_text("utf-8"))
    return {name: value for name, value in answers.items() if not name.startswith("_")}


def test_the_whole_interview_with_keys(interview: Interview, tmp_path: Path) -> None:
    interview.answer("preset", UP, UP)
    interview.answer("project_name", CLEAR_LINE, 'Books & "More"')
    interview.answer("package_name")
    interview.answer("description", CLEAR_LINE, "Sells books.")
    interview.answer("author_name", CLEAR_LINE, "Ada")
    interview.answer("author_email", CLEAR_LINE, "ada@example.com")
    interview.answer("license", UP, UP)
    interview.answer("python_version", DOWN)
    interview.answer("layout", DOWN)
    interview.answer("database", DOWN)
    interview.answer("auth", DOWN)
    interview.answer("cache", UP)
    interview.answer("jobs")
    interview.answer("observability", DOWN, " ")
    interview.answer("parts", DOWN, " ")
    interview.answer("secrets", DOWN)
    interview.decide("data_tools", "y")
    interview.answer("ci", DOWN)
    interview.answer("proxy", DOWN)
    # Dependabot is GitHub's, so it is greyed out; a file of SQLite cannot be shared by pods.
    interview.answer("dependency_bot", DOWN)
    interview.decide("docs_site", "y")
    interview.decide("codecov", "n")
    status, screen = interview.finish()

    assert status == 0, screen
    assert stored_answers(tmp_path / "shop") == {
        "preset": "choose",
        "project_name": 'Books & "More"',
        "package_name": "books_more",
        "description": "Sells books.",
        "author_name": "Ada",
        "author_email": "ada@example.com",
        "license": "Apache-2.0",
        "python_version": "3.12",
        "layout": "layered",
        "database": "sqlite",
        "auth": "none",
        "cache": "redis",
        "jobs": "none",
        "observability": ["metrics", "tracing"],
        "parts": ["rate_limits", "conditional_writes"],
        "secrets": "aws",
        "data_tools": True,
        "ci": "gitlab",
        "proxy": "nginx",
        "dependency_bot": "none",
        "docs_site": True,
        "codecov": False,
    }
    assert 'Books & "More" is ready.' in screen
    assert "books_more, in the layered layout, for Python 3.12 and newer" in screen
    assert re.search(r"pipeline +gitlab\n +proxy +nginx\n +updates +none\n", screen)
    assert re.search(r"also +data_tools, docs_site\n", screen)
    assert re.search(r"cd shop\n +uv run books-more dev\n", screen)


@pytest.mark.parametrize("preset", ["small", "standard", "full"])
def test_a_preset_asks_seven_questions(interview: Interview, tmp_path: Path, preset: str) -> None:
    keys = {"small": [UP], "standard": [], "full": [DOWN]}[preset]
    for question in ASKED_WITH_A_PRESET:
        interview.answer(question, *(keys if question == "preset" else []))
    status, screen = interview.finish()

    assert status == 0, screen
    answers = stored_answers(tmp_path / "shop")
    assert answers["preset"] == preset
    assert set(QUESTIONS) - set(answers) <= {"kubernetes"}


def test_enter_takes_every_default(interview: Interview, tmp_path: Path) -> None:
    interview.answer("preset", DOWN, DOWN)
    for question in ASKED:
        interview.answer(question)
    status, screen = interview.finish()

    assert status == 0, screen
    assert stored_answers(tmp_path / "shop")["package_name"] == "order_service"


def test_impossible_choice_is_not_offered(interview: Interview, tmp_path: Path) -> None:
    interview.answer("preset", DOWN, DOWN)
    for question in ASKED:
        if question == "auth":
            break
        interview.answer(question, *([DOWN, DOWN] if question == "database" else []))
    interview.wait_for(QUESTIONS["auth"]["help"])
    offered = interview.wait_for("none - any client that reaches the service may use it")
    assert "jwt - " not in offered
    interview.type(ENTER)
    for question in ("cache", "jobs", "observability", "parts", "secrets"):
        interview.answer(question)
    # A report over no data is not offered either.
    for question in ("ci", "proxy", "dependency_bot", "docs_site", "codecov"):
        interview.answer(question)
    status, screen = interview.finish()

    assert status == 0, screen
    assert stored_answers(tmp_path / "shop")["auth"] == "none"


def test_invalid_answer_is_explained_and_can_be_corrected(
    interview: Interview, tmp_path: Path
) -> None:
    interview.answer("preset")
    interview.answer("project_name")
    interview.answer("package_name", CLEAR_LINE, "json")
    interview.wait_for("Python has a module of that name.")
    interview.type("_api", ENTER)
    for question in ASKED_WITH_A_PRESET[3:]:
        interview.answer(question)
    status, screen = interview.finish()

    assert status == 0, screen
    assert stored_answers(tmp_path / "shop")["package_name"] == "json_api"


def test_answer_from_data_is_not_asked_again(template: Path, tmp_path: Path) -> None:
    given = ["--data", "layout=layered", "--data", "auth=jwt", "--data", "license=MIT"]
    given += ["--data", "preset=choose"]
    person = Interview("copy", "--vcs-ref", "HEAD", *given, template, ".", cwd=tmp_path)
    try:
        for question in ASKED:
            if question not in {"layout", "auth", "license"}:
                # jwt is given, so "none" is disabled and the second step wraps around.
                person.answer(question, *([DOWN, DOWN] if question == "database" else []))
        status, screen = person.finish()
    finally:
        person.close()

    assert status == 0, screen
    answers = stored_answers(tmp_path)
    assert (answers["layout"], answers["auth"], answers["license"]) == ("layered", "jwt", "MIT")
    assert answers["database"] == "postgresql"
    # The service is in the current folder, so there is no `cd`.
    assert re.search(r"Next:\n\n +uv run order-service dev\n", screen)


def test_ctrl_c_leaves_no_files(interview: Interview, tmp_path: Path) -> None:
    interview.wait_for(QUESTIONS["preset"]["help"])
    interview.interrupt()

    status, screen = interview.finish()

    assert status == 1, screen
    assert "Traceback" not in screen
    assert not (tmp_path / "shop").exists()


def test_defaults_ask_nothing(template: Path, tmp_path: Path) -> None:
    said = run(COPIER, "copy", "--defaults", "-r", "HEAD", template, "shop", cwd=tmp_path)

    assert "Order Service is ready." in said
    assert re.search(r"also +nothing\n", said)
    assert re.search(r"cd shop\n +uv run order-service dev\n", said)


def test_a_data_file_answers_everything(template: Path, tmp_path: Path) -> None:
    answers = {
        "preset": "full",
        "project_name": "Bücher: {{ 1 }} & 'mehr'",
        "package_name": "buecher",
        "description": "Verkauft Bücher.",
        "author_name": 'Ada "Countess" Lovelace',
        "author_email": "ada@example.com",
        "license": "BSD-3-Clause",
        "python_version": "3.13",
        "layout": "domain",
        "database": "postgresql",
        "auth": "jwt",
        "cache": "redis",
        "jobs": "celery",
        "observability": [],
        "parts": ["rate_limits", "http_client", "audit_log"],
        "secrets": "vault",
        "data_tools": False,
        "ci": "github",
        "proxy": "none",
        "kubernetes": True,
        "dependency_bot": "dependabot",
        "docs_site": False,
        "codecov": True,
    }
    (tmp_path / "answers.yml").write_text(yaml.safe_dump(answers, allow_unicode=True), "utf-8")

    # There is no terminal, so a prompt would fail the run.
    run(COPIER, "copy", "--data-file", "answers.yml", "-r", "HEAD", template, "shop", cwd=tmp_path)

    assert stored_answers(tmp_path / "shop") == answers


def test_number_in_data_file_is_a_version(template: Path, tmp_path: Path) -> None:
    (tmp_path / "answers.yml").write_text("python_version: 3.12\n", "utf-8")

    run(
        COPIER,
        "copy",
        "--defaults",
        "--data-file",
        "answers.yml",
        "-r",
        "HEAD",
        template,
        "shop",
        cwd=tmp_path,
    )

    assert stored_answers(tmp_path / "shop")["python_version"] == "3.12"


@pytest.mark.parametrize(
    "given",
    [
        ["-d", "auth=jwt", "-d", "database=none"],
        ["-d", "layout=hexagonal"],
        ["-d", "datbase=sqlite"],
        ["-d", "package_name=json"],
        ["-d", "project_name="],
        ["-d", "jobs=celery", "-d", "database=sqlite"],
        ["-d", "observability=["],
        ["-d", "data_tools=perhaps"],
    ],
    ids=" ".join,
)
def test_refusal_on_the_command_line_is_one_line(
    template: Path, tmp_path: Path, given: list[str]
) -> None:
    said = run(
        COPIER, "copy", "--defaults", "-r", "HEAD", *given, template, "shop", cwd=tmp_path, status=1
    )

    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "shop").exists()


def test_non_empty_destination_keeps_its_files(template: Path, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "README.md").write_text("Mine.\n", "utf-8")
    (tmp_path / "shop" / "notes.txt").write_text("Mine too.\n", "utf-8")

    # Copier asks before it overwrites; without a terminal it stops there.
    said = run(COPIER, "copy", "--defaults", "-r", "HEAD", template, "shop", cwd=tmp_path, status=1)

    assert "Consider using `--overwrite`" in said
    assert (tmp_path / "shop" / "README.md").read_text("utf-8") == "Mine.\n"
    assert (tmp_path / "shop" / "notes.txt").read_text("utf-8") == "Mine too.\n"
