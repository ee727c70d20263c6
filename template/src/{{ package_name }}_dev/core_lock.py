"""Compares core/ with core.lock, the template's digests of its files."""

import sys
import tomllib
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src" / Path(__file__).parent.name.removesuffix("_dev") / "core"

ADVICE = """
core/ belongs to the template, and this service has no tests for it. Better places are
    extras.py      for middleware, error handlers and mounted applications
    settings.py    for settings and their defaults
    a feature      for everything about one subject
    the template   for what other services need, too: propose it there
To keep a change, write its reason into pyproject.toml; updates merge with it:

[tool.core-lock.edits]"""


def check() -> bool:
    """Report each difference; return whether a reason is recorded for all of them."""
    lines = (ROOT / "core.lock").read_text("utf-8").splitlines()
    locked = {path: digest for digest, path in map(str.split, lines)}
    paths = CORE.rglob("*.py")
    found = {path.relative_to(ROOT).as_posix(): digest_of(path) for path in paths}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    reasons = project["tool"].get("core-lock", {}).get("edits", {})
    changes = dict.fromkeys(locked.keys() - found.keys(), "is missing")
    changes |= dict.fromkeys(found.keys() - locked.keys(), "is added")
    common = locked.keys() & found.keys()
    changes |= {path: "is changed" for path in common if locked[path] != found[path]}
    report = [
        f"{path} {change}: {reasons.get(path) or 'no reason is recorded'}"
        for path, change in sorted(changes.items())
    ]
    stale = sorted(reasons.keys() - changes.keys())
    report += [f"{path} is unchanged: remove it from pyproject.toml" for path in stale]
    unrecorded = [path for path in sorted(changes) if not reasons.get(path)]
    if unrecorded:
        report += [ADVICE, *(f'"{path}" = "why"' for path in unrecorded)]
    sys.stdout.writelines(f"{line}\n" for line in report)
    return not (unrecorded or stale)


def digest_of(path: Path) -> str:
    """Return a file's digest, whatever line endings a clone has given it."""
    return sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


if __name__ == "__main__":
    sys.exit(not check())
