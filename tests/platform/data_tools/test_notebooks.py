"""Notebooks are committed without output, and their libraries are not part of the image."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ..service import DIRECTORY

NOTEBOOKS = sorted((DIRECTORY / "notebooks").glob("*.ipynb"))


def name_of(notebook: Path) -> str:
    """Name a test by the file of the notebook."""
    return notebook.name


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_notebook_has_no_output(notebook: Path) -> None:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]

    assert all(cell["outputs"] == [] for cell in code)
    assert all(cell["execution_count"] is None for cell in code)


def test_image_has_no_library_that_only_notebooks_need() -> None:
    uv = shutil.which("uv")
    assert uv is not None
    exported = [
        subprocess.run(
            [uv, "export", "--frozen", "--no-hashes", "--no-header", *options],
            cwd=DIRECTORY,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for options in (["--no-dev"], [], ["--group", "notebooks"])
    ]

    assert [output.count("\nipykernel==") for output in exported] == [0, 0, 1]
    assert "\npolars==" in exported[0]
