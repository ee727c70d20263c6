"""What an update from the template must not leave behind."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

MARKER = re.compile(rb"^(<{7} before|>{7} after) updating$", re.MULTILINE)

HIDDEN_BUT_OURS = {".github", ".gitlab"}


def files() -> Iterator[Path]:
    """Find what belongs to the service: neither environments nor caches."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name in HIDDEN_BUT_OURS
            or not (name.startswith((".", "_")) or name == "node_modules")
        ]
        yield from (Path(folder, name) for name in names)


def test_no_update_has_left_a_conflict() -> None:
    # Copier, and bots that run it, end well with conflicts in the files.
    unsettled = [
        path.relative_to(ROOT).as_posix()
        for path in files()
        if path.suffix == ".rej" or MARKER.search(path.read_bytes())
    ]

    assert unsettled == []
