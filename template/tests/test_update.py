"""An update from the template leaves no conflict behind."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

MARKER = re.compile(rb"^(<{7} before|>{7} after) updating$", re.MULTILINE)


def test_no_update_has_left_a_conflict() -> None:
    # Copier succeeds with conflicts in the files, and so do bots that run it.
    conflicts: list[str] = []
    for folder, folders, names in os.walk(ROOT):
        ours = {name for name in folders if not name.startswith((".", "_"))}
        folders[:] = (ours | {".github", ".gitlab"}) - {"node_modules"}
        conflicts += [
            file.relative_to(ROOT).as_posix()
            for file in (Path(folder, name) for name in names)
            if file.suffix == ".rej" or MARKER.search(file.read_bytes())
        ]

    assert conflicts == []
