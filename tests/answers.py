"""The answers the tests render: pairwise over copier.yml's own choices."""

import re
from pathlib import Path
from typing import Any

import yaml
from covertable import make, sorters

ROOT = Path(__file__).resolve().parents[1]

Answers = dict[str, str]

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "copier.yml").read_text("utf-8"))

# A question can be answered; what copier.yml computes has a `when`.
QUESTIONS: dict[str, dict[str, Any]] = {
    name: question
    for name, question in CONFIG.items()
    if not name.startswith("_") and "when" not in question
}


def choices(question: str) -> list[str]:
    """List the values a question offers, possible or not with the other answers."""
    offered = QUESTIONS[question].get("choices", {})
    if isinstance(offered, str):
        offered = yaml.safe_load(re.sub(r"\{%.*?%\}", "", offered))
    return [value["value"] if isinstance(value, dict) else value for value in offered.values()]


FACTORS = {question: values for question in QUESTIONS if (values := choices(question))}


def is_possible(answers: Answers) -> bool:
    """Tell whether a service can have these answers."""
    return not (answers.get("auth") == "jwt" and answers.get("database") == "none")


def pairwise(factors: dict[str, list[str]]) -> list[Answers]:
    """Choose rows of answers in which every possible pair of two answers occurs."""
    rows: list[Answers] = make(
        factors,
        sorter=sorters.hash,
        constraints=[
            {
                "operator": "or",
                "conditions": [
                    {"operator": "ne", "left": "auth", "value": "jwt"},
                    {"operator": "ne", "left": "database", "value": "none"},
                ],
            }
        ],
    )
    return rows


PAIRWISE = pairwise(FACTORS)

# The licence changes no code, so the services that are run leave it out of the pairs
# and take turns with it.
RUN = [
    {**row, "license": FACTORS["license"][number % len(FACTORS["license"])]}
    for number, row in enumerate(
        pairwise({name: values for name, values in FACTORS.items() if name != "license"})
    )
]


def variant_name(answers: Answers) -> str:
    """Name a variant after its answers."""
    return "-".join(answers[question] for question in FACTORS)


ALL_ON: Answers = {
    "layout": "domain",
    "database": "postgresql",
    "auth": "jwt",
    "cache": "redis",
    "secrets": "vault",
    "license": "MIT",
}
ALL_OFF: Answers = {
    "layout": "domain",
    "database": "none",
    "auth": "none",
    "cache": "memory",
    "secrets": "platform",
    "license": "Proprietary",
}

VARIANTS: dict[str, Answers] = {
    "defaults": {},
    "all-on": ALL_ON,
    "all-off": ALL_OFF,
    **{variant_name(row): row for row in PAIRWISE},
}
"""What the tests render, by a name that tells the answers."""
