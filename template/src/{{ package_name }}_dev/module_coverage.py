"""Coverage of each module: the total hides a small module that has no tests."""

from io import StringIO
from pathlib import Path

from coverage import Coverage

MINIMUM_PERCENT = 60


def poorly_covered() -> list[str]:
    """List the modules that the tests have covered too little, with their coverage."""
    coverage = Coverage()
    coverage.load()
    percents = {
        Path(file): coverage.report([file], file=StringIO())
        for file in sorted(coverage.get_data().measured_files())
    }
    return [
        f"{file.relative_to(Path.cwd())} ({percent:.0f} %)"
        for file, percent in percents.items()
        if percent < MINIMUM_PERCENT
    ]
