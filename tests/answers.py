"""The answers the tests render: pairwise over copier.yml's own choices."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from covertable import make, sorters

ROOT = Path(__file__).resolve().parents[1]

Answers = dict[str, Any]
"""A text, a yes or no, or a list of texts for each question."""

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "copier.yml").read_text("utf-8"))

# A question says what it asks; what copier.yml computes has no help.
QUESTIONS: dict[str, dict[str, Any]] = {
    name: question
    for name, question in CONFIG.items()
    if not name.startswith("_") and "help" in question
}


def choices(question: str) -> list[str]:
    """List the values a question offers, possible or not with the other answers."""
    offered = QUESTIONS[question].get("choices", {})
    if isinstance(offered, str):
        offered = yaml.safe_load(re.sub(r"\{%.*?%\}", "", offered))
    return [value["value"] if isinstance(value, dict) else value for value in offered.values()]


YES, NO = "yes", "no"

LISTS = {name for name, question in QUESTIONS.items() if question.get("multiselect")}
"""The questions that take any number of their choices."""

SWITCHES = {name for name, question in QUESTIONS.items() if question["type"] == "bool"}
"""The questions that are answered by yes or no."""

FACTORS: dict[str, list[str]] = {}
"""What can vary in a service: an answer of several, and whether each part is in it."""

for _question in (question for question in QUESTIONS if question != "preset"):
    # A preset only sets defaults; a row gives every answer.
    if _question in LISTS:
        FACTORS |= {choice: [YES, NO] for choice in choices(_question)}
    elif _question in SWITCHES:
        FACTORS[_question] = [YES, NO]
    elif choices(_question):
        FACTORS[_question] = choices(_question)


def answers_of(row: dict[str, str]) -> Answers:
    """Turn a row of factors into answers."""
    answers: Answers = {}
    for factor, value in row.items():
        if factor in SWITCHES:
            answers[factor] = value == YES
        elif factor in QUESTIONS:
            answers[factor] = value
    for question in LISTS:
        answers[question] = [choice for choice in choices(question) if row[choice] == YES]
    return answers


def answer_of(factor: str, value: str) -> Answers:
    """Give the answer that sets one factor, and of a list nothing else."""
    if factor in SWITCHES:
        return {factor: value == YES}
    if factor in QUESTIONS:
        return {factor: value}
    (question,) = (name for name in LISTS if factor in choices(name))
    return {question: [factor] if value == YES else []}


IMPOSSIBLE = [
    ("auth", "jwt", "database", "none"),
    *(
        ("jobs", engine, other, value)
        for engine in ("taskiq", "celery")
        for other, value in [("database", "sqlite"), ("database", "none"), ("cache", "memory")]
    ),
    ("auth", "jwt", "rate_limits", NO),
    *(("jobs", engine, "http_client", NO) for engine in ("taskiq", "celery")),
    *((part, YES, "auth", "none") for part in ("api_keys", "audit_log")),
    *((part, YES, "database", "none") for part in ("idempotency_keys", "read_cache")),
    ("dashboards", YES, "metrics", NO),
    ("data_tools", YES, "database", "none"),
    ("kubernetes", YES, "database", "sqlite"),
    ("kubernetes", YES, "database", "none"),
    ("kubernetes", YES, "cache", "memory"),
    ("kubernetes", YES, "proxy", "nginx"),
    ("kubernetes", YES, "proxy", "traefik"),
    ("dependency_bot", "dependabot", "ci", "gitlab"),
]
"""The pairs of answers that no service can have: each one is refused."""


def pairwise(factors: dict[str, list[str]]) -> list[dict[str, str]]:
    """Choose rows in which every possible pair of two values occurs."""
    rows: list[dict[str, str]] = make(
        factors,
        sorter=sorters.hash,
        # Any salt covers all pairs; this one needs the fewest services to run.
        salt="20",
        constraints=[
            {
                "operator": "or",
                "conditions": [
                    {"operator": "ne", "left": one, "value": value},
                    {"operator": "ne", "left": other, "value": other_value},
                ],
            }
            for one, value, other, other_value in IMPOSSIBLE
        ],
    )
    return rows


PAIRWISE = pairwise(FACTORS)

TURNS = {
    "license": FACTORS["license"],
    "python_version": ["3.11", "3.12", "3.13"],
    "secrets": FACTORS["secrets"],
    "ci": FACTORS["ci"],
    "kubernetes": FACTORS["kubernetes"],
    "proxy": FACTORS["proxy"],
    "dependency_bot": FACTORS["dependency_bot"],
    "docs_site": FACTORS["docs_site"],
    "codecov": FACTORS["codecov"],
}
"""What changes no code, or none that other answers change, too. All pairs are rendered and
linted; the services that are run leave these out of the pairs, and take turns with them."""


def possible(row: dict[str, str]) -> bool:
    """Tell whether a service can have these values, as far as they are given."""
    return not any(
        row.get(one) == value and row.get(other) == other_value
        for one, value, other, other_value in IMPOSSIBLE
    )


def with_turns(row: dict[str, str], number: int) -> dict[str, str]:
    """Add to a row whose turn it is, or the next value that the row can have."""
    for name, values in TURNS.items():
        turn = number % len(values)
        candidates = [{**row, name: value} for value in values[turn:] + values[:turn]]
        row = next(candidate for candidate in candidates if possible(candidate))
    return row


RUN = [
    with_turns(row, number)
    for number, row in enumerate(
        pairwise({name: values for name, values in FACTORS.items() if name not in TURNS})
    )
]


def variant_name(row: dict[str, str]) -> str:
    """Name a variant after its answers; what it has is named, what it lacks is not."""
    return "-".join(
        factor if row[factor] == YES else row[factor] for factor in FACTORS if row[factor] != NO
    )


ALL_ON: Answers = {
    "layout": "domain",
    "database": "postgresql",
    "auth": "jwt",
    "cache": "redis",
    "jobs": "celery",
    "observability": choices("observability"),
    "parts": choices("parts"),
    "secrets": "vault",
    "data_tools": True,
    "docs_site": True,
    "kubernetes": True,
    "codecov": True,
    "license": "MIT",
}
ALL_OFF: Answers = {
    "layout": "domain",
    "database": "none",
    "auth": "none",
    "cache": "memory",
    "jobs": "none",
    "observability": [],
    "parts": [],
    "secrets": "platform",
    "data_tools": False,
    "docs_site": False,
    "kubernetes": False,
    "codecov": False,
    "license": "Proprietary",
}

VARIANTS: dict[str, Answers] = {
    "defaults": {},
    "small": {"preset": "small"},
    "full": {"preset": "full"},
    "all-on": ALL_ON,
    "all-off": ALL_OFF,
    **{variant_name(row): answers_of(row) for row in PAIRWISE},
}
"""What the tests render, by a name that tells the answers."""

EACH_VARIANT = [
    pytest.param(answers, id=name, marks=pytest.mark.xdist_group(f"variant {name}"))
    for name, answers in VARIANTS.items()
]
"""The same as parameters: all tests of a variant are on one worker, which renders it once."""
