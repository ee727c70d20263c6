"""The Python versions of this machine, found by uv."""

import functools
import os
import subprocess
from pathlib import Path

from tests.answers import choices


@functools.cache
def interpreter(version: str) -> Path | None:
    """Find a Python of a minor version: by uv, or among those that pyenv hides."""
    found = subprocess.run(
        ["uv", "python", "find", "--no-project", "--no-python-downloads", version],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode == 0:
        return Path(found.stdout.strip())
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    hidden = sorted(root.glob(f"versions/{version}.*/bin/python"))
    return hidden[-1] if hidden else None


def newest() -> str:
    """Return the newest of the offered versions that this machine has."""
    return next(version for version in reversed(choices("python_version")) if interpreter(version))
