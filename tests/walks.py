"""Follows the walks of a service's page docs/features.md literally."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tests.commands import run

STEP = re.compile(
    r"(?ms)^Create `(?P<new>[^`\n]+)`:\n\n```python\n(?P<content>.*?)^```$"
    r"|^Add to `(?P<changed>[^`\n]+)` below \"(?P<mark>[^\n]+)\":\n\n```python\n(?P<lines>.*?)^```$"
    r"|^Remove the lines that name `(?P<name>\w+)` from:\n\n(?P<files>(?:- `[^\n]+`\n)+)"
    r"|^```sh\n(?P<commands>.*?)^```$"
)
FENCE = re.compile(r"(?ms)^```(\w+)$.*?^```$")


class WalkError(AssertionError):
    """A walk cannot be followed literally."""


def section(page: str, heading: str) -> str:
    """Return the text of a section of the second level."""
    found = re.search(rf"(?ms)^## {re.escape(heading)}$(.*?)(?=^## |\Z)", page)
    if found is None:
        message = f"There is no section {heading!r}."
        raise WalkError(message)
    return found[1]


def steps(page: str, heading: str) -> Iterator[dict[str, str]]:
    """Read the steps of a walk; a block that is part of none is an error."""
    text = section(page, heading)
    found = list(STEP.finditer(text))
    blocks = len(FENCE.findall(text))
    if blocks != sum("```" in step[0] for step in found):
        message = f"{heading}: {blocks} blocks, and not each one is part of a step."
        raise WalkError(message)
    for step in found:
        yield {name: value for name, value in step.groupdict().items() if value is not None}


def follow(service: Path, heading: str) -> None:
    """Follow a walk up to its last command, which is the gate."""
    page = (service / "docs/features.md").read_text("utf-8")
    for step in steps(page, heading):
        if "new" in step:
            path = service / step["new"]
            path.parent.mkdir(exist_ok=True)
            path.write_text(step["content"], "utf-8")
        elif "changed" in step:
            _insert(service / step["changed"], step["mark"], step["lines"])
        elif "name" in step:
            for file in re.findall(r"`(.+)`", step["files"]):
                _remove_lines(service / file, step["name"])
        else:
            for command in step["commands"].splitlines():
                words = ["sh", "-c", command] if "*" in command else shlex.split(command)
                run(*words, cwd=service)


def _insert(path: Path, mark: str, lines: str) -> None:
    before = path.read_text("utf-8").splitlines(keepends=True)
    places = [number for number, line in enumerate(before) if line.strip() == mark]
    if len(places) != 1:
        message = f"{path.name} has the line {mark!r} {len(places)} times."
        raise WalkError(message)
    path.write_text("".join([*before[: places[0] + 1], lines, *before[places[0] + 1 :]]), "utf-8")


def _remove_lines(path: Path, name: str) -> None:
    before = path.read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in before if not re.search(rf"\b{name}\b", line)]
    if kept == before:
        message = f"{path.name} does not name {name}."
        raise WalkError(message)
    path.write_text("".join(kept), "utf-8")
