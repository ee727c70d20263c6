"""The questions: defaults, what is refused and how, and names that must survive."""

import ast
import json
import keyword
import re
import sys
import tomllib
from pathlib import Path

import copier
import pytest
import yaml
from copier.errors import UserMessageError

from tests.answers import (
    CONFIG,
    IMPOSSIBLE,
    LISTS,
    QUESTIONS,
    ROOT,
    SWITCHES,
    Answers,
    answer_of,
    choices,
)
from tests.conftest import Macros, Render

ORDER = [
    "preset",
    "project_name",
    "package_name",
    "description",
    "author_name",
    "author_email",
    "license",
    "python_version",
    "layout",
    "database",
    "auth",
    "cache",
    "jobs",
    "observability",
    "parts",
    "secrets",
    "data_tools",
    "ci",
    "proxy",
    "kubernetes",
    "dependency_bot",
    "docs_site",
    "codecov",
]

HOSTILE_NAMES = [
    "O'Neil's \"Kit\"",
    'Only "double" quotes',
    "{{ 7 * 7 }} {% if %} {# x #}",
    "${HOME} $(id) `id` \\n \\",
    "Заказы и счета",
    "注文サービス",
    "خدمة الطلبات",
    "🚀 Rocket 👩‍🚀",
    "Ünïcødé Größe",
    "class",
    "Test",
    "Redis",
    "FastAPI",
    "3D Printer",
    "- dashes: and # hashes",
    "<b>bold</b> & *stars* | [x](y)",
    "__init__",
    "%s %d {0} {name}",
    "a" * 60,
    "!",
]


def refusal(template: Path, destination: Path, answers: dict[str, object]) -> str:
    """Copy with answers that must be refused, and return the reason."""
    with pytest.raises(UserMessageError) as refused:
        copier.run_copy(
            str(template), destination, data=answers, defaults=True, quiet=True, vcs_ref="HEAD"
        )
    assert not destination.exists(), "Something was written."
    return str(refused.value)


def test_order_of_the_questions() -> None:
    assert list(QUESTIONS) == ORDER


@pytest.mark.parametrize("question", ORDER)
def test_each_question_has_a_default_and_fits_a_screen_line(question: str) -> None:
    details = QUESTIONS[question]

    assert details["help"]
    assert len(details["help"]) <= 76
    assert "default" in details
    offered = details.get("choices", {})
    labels = offered if isinstance(offered, dict) else re.findall(r"(?m)^(\S.*): ", offered)
    assert all(len(label) <= 74 for label in labels)
    if details["type"] != "bool" and not details.get("multiselect"):
        assert bool(labels) != bool(details.get("validator")), "Text needs a validator."


@pytest.mark.parametrize("question", ORDER)
def test_each_question_is_documented_as_the_terminal_shows_it(question: str) -> None:
    page = (ROOT / "docs/options.md").read_text("utf-8")
    section = page.partition(f"\n### `{question}`\n")[2].partition("\n### ")[0]
    details = QUESTIONS[question]
    offered = details.get("choices", {})
    labels = offered if isinstance(offered, dict) else re.findall(r"(?m)^(\S.*): ", offered)

    assert details["help"] in section
    for label in labels:
        value, _, meaning = label.partition(" - ")
        assert f"- `{value}`: {meaning}" in section if meaning else f"- `{value}`" in section


def test_defaults(render: Render) -> None:
    answers = yaml.safe_load((render({}) / ".copier-answers.yml").read_text("utf-8"))

    assert {name: value for name, value in answers.items() if not name.startswith("_")} == {
        "project_name": "Order Service",
        "package_name": "order_service",
        "description": "The HTTP API of Order Service.",
        "author_name": "Order Service team",
        "author_email": "team@example.com",
        "license": "Proprietary",
        "python_version": "3.11",
        "layout": "domain",
        "database": "postgresql",
        "auth": "jwt",
        "cache": "memory",
        "jobs": "none",
        "observability": ["metrics"],
        "parts": ["rate_limits"],
        "preset": "standard",
        "secrets": "platform",
        "data_tools": False,
        "ci": "github",
        "proxy": "none",
        "dependency_bot": "renovate",
        "docs_site": False,
        "codecov": False,
    }


FEW = ["rate_limits"]
"""The parts of the smaller presets."""


def stored(service: Path) -> dict[str, object]:
    """Read the answers that a service was made with."""
    answers: dict[str, object] = yaml.safe_load(
        (service / ".copier-answers.yml").read_text("utf-8")
    )
    return answers


@pytest.mark.parametrize(
    ("preset", "answers"),
    [
        ("small", {"auth": "none", "cache": "memory", "observability": [], "parts": FEW}),
        (
            "standard",
            {"auth": "jwt", "cache": "memory", "observability": ["metrics"], "parts": FEW},
        ),
        ("full", {"auth": "jwt", "cache": "redis", **{name: choices(name) for name in LISTS}}),
        ("choose", {"auth": "jwt", "cache": "memory", "observability": ["metrics"], "parts": FEW}),
    ],
    ids=["small", "standard", "full", "choose"],
)
def test_preset_sets_defaults(render: Render, preset: str, answers: Answers) -> None:
    chosen = stored(render({"preset": preset}))

    assert chosen["preset"] == preset
    assert {name: chosen[name] for name in answers} == answers


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"preset": "small", "jobs": "taskiq"}, "http_client rate_limits"),
        (
            {"preset": "full", "auth": "none"},
            (
                "conditional_writes dashboards http_client idempotency_keys processes"
                " rate_limits read_cache"
            ),
        ),
        (
            {"preset": "full", "database": "none"},
            "conditional_writes dashboards http_client processes rate_limits",
        ),
        (
            {"preset": "full", "observability": []},
            (
                "api_keys audit_log conditional_writes http_client idempotency_keys processes"
                " rate_limits read_cache"
            ),
        ),
        ({"preset": "full", "parts": ["rate_limits"]}, "rate_limits"),
        ({"preset": "small", "parts": "[processes]"}, "processes"),
    ],
    ids=repr,
)
def test_default_parts_are_possible_with_the_other_answers(
    render: Render, given: Answers, parts: str
) -> None:
    chosen = stored(render(given))["parts"]

    assert isinstance(chosen, list)
    assert " ".join(sorted(chosen)) == parts


def test_without_a_database_there_is_no_sign_in(render: Render) -> None:
    answers = yaml.safe_load(
        (render({"database": "none"}) / ".copier-answers.yml").read_text("utf-8")
    )

    assert answers["auth"] == "none"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"project_name": ""}, "Give the service a name."),
        ({"project_name": " "}, "Use no spaces at the ends."),
        ({"project_name": "a" * 61}, "Use 60 characters at most."),
        ({"project_name": "a" * 200}, "Use 60 characters at most."),
        ({"project_name": "two\nlines"}, "Use no control characters."),
        ({"project_name": "two\u2028lines"}, "Use no control characters."),
        ({"project_name": "bell\x07"}, "Use no control characters."),
        ({"project_name": "\u202eesrever"}, "Use only visible characters."),
        ({"project_name": "zero\u200bwidth"}, "Use only visible characters."),
        ({"project_name": None}, "Write one line of text."),
        ({"project_name": ["a"]}, "Write one line of text."),
        ({"description": "a" * 201}, "Use 200 characters at most."),
        ({"description": ""}, "Describe what the service does."),
        ({"description": "two\r\nlines"}, "Use no control characters."),
        ({"author_name": "a" * 81}, "Use 80 characters at most."),
        ({"author_name": ""}, "Name a person or a team."),
        ({"author_email": ""}, "Write it like team@example.com."),
        ({"author_email": "team"}, "Write it like team@example.com."),
        ({"author_email": "a <b@c.de>"}, "Write it like team@example.com."),
        ({"author_email": "a@b.de\nBcc: x"}, "Use no control characters."),
        ({"package_name": ""}, "Start with a letter from a to z."),
        ({"package_name": "Orders"}, "Start with a letter from a to z."),
        ({"package_name": "1st"}, "Start with a letter from a to z."),
        ({"package_name": "_private"}, "Start with a letter from a to z."),
        ({"package_name": "order-service"}, "Use only a-z, 0-9 and single _."),
        ({"package_name": "order__service"}, "Use only a-z, 0-9 and single _."),
        ({"package_name": "orders_"}, "Use only a-z, 0-9 and single _."),
        ({"package_name": "orders\n"}, "Use only a-z, 0-9 and single _."),
        ({"package_name": "заказы"}, "Start with a letter from a to z."),
        ({"package_name": "{{ x }}"}, "Start with a letter from a to z."),
        ({"package_name": "a/../up"}, "Use only a-z, 0-9 and single _."),
        ({"package_name": "a" * 25}, "Use 24 characters at most."),
        ({"package_name": "class"}, "Python has a keyword of that name."),
        ({"package_name": "match"}, "Python has a keyword of that name."),
        ({"package_name": "json"}, "Python has a module of that name."),
        ({"package_name": "fastapi"}, "A library has that name already."),
        ({"package_name": "tests"}, "The folder needs that name itself."),
        ({"license": "GPL"}, "Choose one of MIT, Apache-2.0, BSD-3-Clause, Proprietary."),
        ({"python_version": "3.9"}, "Choose one of 3.11, 3.12, 3.13, 3.14."),
        ({"layout": "hexagonal"}, "Choose one of domain, layered."),
        ({"database": "mysql"}, "Choose one of postgresql, sqlite, none."),
        ({"auth": "basic"}, "Choose one of jwt, none."),
        ({"datbase": "sqlite"}, "There is no such question; there are preset, project_name"),
        (
            {"auth": "jwt", "database": "none"},
            "jwt keeps users, so it needs a database; choose postgresql or sqlite, or auth none.",
        ),
        ({"jobs": "rq"}, "Choose one of none, taskiq, celery."),
        (
            {"jobs": "taskiq", "database": "sqlite"},
            "they are kept in an outbox until they are done, so they need database postgresql.",
        ),
        (
            {"jobs": "celery", "cache": "memory"},
            "they reach their workers through Redis, so they need cache redis.",
        ),
        ({"observability": "metrics"}, "Write a list, such as [metrics, tracing], or [] for none."),
        ({"observability": ""}, "Write a list, such as [metrics, tracing], or [] for none."),
        ({"observability": "["}, "Write a list, such as [metrics, tracing], or [] for none."),
        ({"observability": None}, "Write a list, such as [metrics, tracing], or [] for none."),
        ({"observability": ["apm"]}, "Choose any of metrics, tracing, sentry."),
        ({"observability": "[metrics, metrics]"}, "Name each answer once."),
        ({"preset": "large"}, "Choose one of small, standard, full, choose."),
        ({"parts": "cache"}, "Write a list, such as [rate_limits, conditional_writes], or []"),
        ({"parts": ["cache"]}, "Choose any of rate_limits, conditional_writes, idempotency_keys"),
        ({"parts": "[processes]"}, "sign-in is guarded against guessing, so it needs rate_limits"),
        ({"preset": "small", "parts": "[api_keys]"}, "it belongs to users, so it needs auth jwt."),
        ({"data_tools": "maybe"}, "Answer yes or no."),
        ({"codecov": None}, "Answer yes or no."),
        (
            {"data_tools": True, "database": "none"},
            "the report reads a database, so it needs one; choose postgresql or sqlite.",
        ),
        (
            {"data_tools": "on", "database": "none"},
            "the report reads a database, so it needs one; choose postgresql or sqlite.",
        ),
    ],
    ids=repr,
)
def test_refused_with_one_sentence_and_nothing_written(
    template: Path, tmp_path: Path, answers: dict[str, object], reason: str
) -> None:
    assert reason in refusal(template, tmp_path / "service", answers)
    for question in answers:
        details = QUESTIONS.get(question, {})
        if details.get("validator") and not details.get("multiselect"):
            shown = f"Validation error for question '{question}': {reason}"
            assert len(shown) <= 80, "The prompt would cut it off."


@pytest.mark.parametrize("pair", IMPOSSIBLE, ids=" ".join)
def test_every_impossible_pair_is_refused(
    template: Path, tmp_path: Path, pair: tuple[str, str, str, str]
) -> None:
    one, value, other, other_value = pair
    answers = {**answer_of(one, value), **answer_of(other, other_value)}
    reason = refusal(template, tmp_path / "service", answers)

    assert re.search(rf"{one}: .* need", reason)


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ("[]", []),
        ([], []),
        ("[sentry, metrics]", ["metrics", "sentry"]),
        (["tracing"], ["tracing"]),
    ],
    ids=repr,
)
def test_a_list_can_be_given_in_any_form(render: Render, given: object, chosen: list[str]) -> None:
    answers = yaml.safe_load(
        (render({"observability": given}) / ".copier-answers.yml").read_text("utf-8")
    )

    assert sorted(answers["observability"]) == chosen


def test_jobs_bring_their_broker(render: Render) -> None:
    answers = yaml.safe_load(
        (render({"jobs": "taskiq"}) / ".copier-answers.yml").read_text("utf-8")
    )

    assert answers["cache"] == "redis"


def test_the_first_problem_is_the_one_told(template: Path, tmp_path: Path) -> None:
    told = refusal(template, tmp_path / "service", {"layout": "x", "project_name": ""})

    assert "layout: " in told
    assert "project_name" not in told


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("Order Service", "order_service"),
        ("  Order -- Service  ", "order_service"),
        ("Redis", "redis_service"),
        ("Test", "test_service"),
        ("Class", "class_service"),
        ("3D Printer", "service_3d_printer"),
        ("Заказы", "service"),
        ("", "service"),
        ("A name that is a good deal too long", "a_name_that_is_a_good_de"),
        ("A name that is a good d ea", "a_name_that_is_a_good_d"),
        ("multiprocessing", "multiprocessing_service"),
        ("🚀", "service"),
    ],
)
def test_derived_package_name(macros: Macros, name: str, package: str) -> None:
    names = macros("names")

    assert names.derived_package_name(name) == package


def test_every_reserved_word_derives_a_name_that_is_accepted(macros: Macros) -> None:
    names = macros("names")
    reserved = [*names.python_words, *names.python_modules, *names.libraries, *names.folders]

    for word in reserved:
        derived = names.derived_package_name(word)
        assert not names.package_name_problem(derived), f"{word} gives {derived}."
        assert names.package_name_problem(word), f"{word} is accepted."


def test_the_words_and_modules_of_this_python_are_reserved(macros: Macros) -> None:
    names = macros("names")

    words = {word.lower() for word in (*keyword.kwlist, *keyword.softkwlist)} - {"_"}
    modules = {name for name in sys.stdlib_module_names if re.fullmatch("[a-z][a-z0-9_]*", name)}
    assert words <= set(names.python_words)
    assert modules <= set(names.python_modules)


def test_the_checks_of_data_know_the_same_questions_and_choices(macros: Macros) -> None:
    module = macros("questions")

    assert module.known_questions == {question: choices(question) for question in QUESTIONS}
    assert set(module.lists) == LISTS
    assert set(module.yes_or_no) == SWITCHES
    assert set(module.not_always_asked) == {n for n, one in QUESTIONS.items() if "when" in one}


def test_no_answer_runs_code() -> None:
    assert not {"_tasks", "_migrations", "_jinja_extensions"} & set(CONFIG)


@pytest.mark.parametrize("text", HOSTILE_NAMES)
def test_text_survives_quoting(macros: Macros, text: str) -> None:
    macro = macros("text")

    assert ast.literal_eval(str(macro.python_string(text))) == text
    assert tomllib.loads(f"a = {macro.quoted(text)}") == {"a": text}
    assert yaml.safe_load(f"a: {macro.quoted(text)}") == {"a": text}
    assert json.loads(str(macro.quoted(text))) == text
