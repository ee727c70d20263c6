"""Notebooks hold no data, and what runs them never reaches an image."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def name_of(notebook: Path) -> str:
    """Name a notebook by its file."""
    return notebook.name


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    """List the cells that can be run."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_no_notebook_keeps_what_it_has_shown(notebook: Path) -> None:
    cells = code_cells(notebook)

    assert all(cell["outputs"] == [] for cell in cells)
    assert all(cell["execution_count"] is None for cell in cells)


def test_image_has_nothing_that_only_notebooks_need() -> None:
    uv = shutil.which("uv")
    assert uv is not None
    installed = [
        subprocess.run(  # noqa: S603
            [uv, "export", "--frozen", "--no-hashes", "--no-header", *options],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for options in (["--no-dev"], [], ["--group", "notebooks"])
    ]

    assert [output.count("\nipykernel==") for output in installed] == [0, 0, 1]
    assert "\npolars==" in installed[0]
