"""Runs the platform tests against an existing service.

``uv run python -m tests.platform PATH [arguments of pytest]`` shows whether the service, with
the dependencies of its lock file, still keeps what this release promises.
"""

import sys
from pathlib import Path

from .runner import NotAServiceError, run

USAGE = "Usage: uv run python -m tests.platform PATH [arguments of pytest]"


def main(arguments: list[str]) -> int:
    """Run the command, and return its exit status."""
    if not arguments or arguments[0].startswith("-"):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        return run(Path(arguments[0]), arguments[1:])
    except NotAServiceError as error:
        print(error, file=sys.stderr)
        return 2


sys.exit(main(sys.argv[1:]))
