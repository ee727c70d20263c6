"""Commands the tests run, with their whole output in the failure."""

import os
import subprocess
from pathlib import Path


def run(
    *command: str | Path,
    cwd: Path,
    environment: dict[str, str] | None = None,
    status: int | None = 0,
    timeout: float = 900,
) -> str:
    """Run a command, expect an exit status if one is given, and return what it printed."""
    finished = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    output = finished.stdout
    expected = finished.returncode if status is None else status
    assert finished.returncode == expected, f"{command} ended with {finished.returncode}:\n{output}"
    return output


def commit_all(path: Path, message: str) -> str:
    """Commit everything in a repository and return the commit's name."""
    run("git", "add", "--all", cwd=path)
    run("git", "commit", "--quiet", "--allow-empty", "--message", message, cwd=path)
    return run("git", "rev-parse", "HEAD", cwd=path).strip()
