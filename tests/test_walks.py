"""The walks of docs/features.md: followed literally, they leave a green gate."""

import re
import sys
from pathlib import Path

import pytest

from tests.answers import ALL_OFF, ALL_ON, EACH_VARIANT, Answers
from tests.commands import run
from tests.conftest import Render
from tests.walks import WalkError, follow, steps

ADD, DELETE = "Add a feature", "Delete the example"

RUFF = Path(sys.executable).with_name("ruff")

EXAMPLE = re.compile(
    r"""\bfrom \S*\bitems\b|\bimport items\b|/api/v1/items["?/]|["']items:|"items","""
)
"""What only the example's own code and what depends on it contain."""

WALKED = {
    "defaults": {},
    "layered": {"layout": "layered", "database": "sqlite"},
    "all-on": ALL_ON,
    "all-off": ALL_OFF,
    "small": {"preset": "small"},
}


def dependent_on_the_example(service: Path) -> set[str]:
    """List the modules that name the example, but for the history of the database."""
    modules = [*service.glob("src/**/*.py"), *service.glob("tests/**/*.py")]
    return {
        path.relative_to(service).as_posix()
        for path in modules
        if "versions" not in path.parts and "core" not in path.parts
        if EXAMPLE.search(path.read_text("utf-8"))
    }


@pytest.mark.parametrize("answers", EACH_VARIANT)
def test_code_of_walk_is_formatted(project: Render, answers: Answers) -> None:
    service = project(answers)
    page = (service / "docs/features.md").read_text("utf-8")

    written = [step for step in steps(page, ADD) if "new" in step]

    assert len(written) >= 7
    for step in written:
        path = service / step["new"]
        assert not path.exists(), step["new"]
        path.parent.mkdir(exist_ok=True)
        path.write_text(step["content"], "utf-8")
        # Ruff with the options of `poe fix` has nothing to change.
        run(RUFF, "format", "--check", "--no-cache", path, cwd=service)
        run(RUFF, "check", "--no-cache", path, cwd=service)
    # What else depends on the example is named by the page: it is deleted or edited.
    deletes = page.partition(f"## {DELETE}")[2]
    others = {name for name in dependent_on_the_example(service) if "items" not in name}
    assert {name for name in others if f"`{name}`" not in deletes} == set()
    assert others


def test_block_outside_of_a_step_is_refused() -> None:
    page = "## Walk\n\nCreate `a.py`:\n\n```python\na = 1\n```\n\n```python\nb = 2\n```\n"

    with pytest.raises(WalkError, match="2 blocks"):
        list(steps(page, "Walk"))


@pytest.mark.slow
@pytest.mark.parametrize("answers", WALKED.values(), ids=WALKED)
def test_feature_is_added_and_example_deleted(project: Render, answers: Answers) -> None:
    service = project(answers)
    run("uv", "sync", "--quiet", cwd=service)

    # Each walk ends with the gate.
    follow(service, ADD)
    follow(service, DELETE)
    assert dependent_on_the_example(service) == set()
