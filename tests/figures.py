"""Measures the figures in the README: run `uv run python -m tests.figures`."""

import ast
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from copier import run_copy

from tests.answers import ROOT
from tests.commands import commit_all, run
from tests.test_sources import python_sources

ROUNDS = 7


def timed_copy(template: Path, destination: Path) -> float:
    """Copy a template with its defaults, and return the seconds it took."""
    started = time.perf_counter()
    run_copy(str(template), destination, defaults=True, quiet=True, vcs_ref="HEAD")
    return time.perf_counter() - started


def as_repository(folder: Path) -> Path:
    """Commit a folder to a new repository."""
    run("git", "init", "--quiet", cwd=folder)
    commit_all(folder, "A template")
    return folder


def copy_figures(scratch: Path) -> None:
    """Compare a copy of the template with a copy of as many static files without questions."""
    ignored = shutil.ignore_patterns(".git", ".venv", "*_cache", "__pycache__")
    groundplan = as_repository(shutil.copytree(ROOT, scratch / "groundplan", ignore=ignored))
    timed_copy(groundplan, scratch / "service")
    static = scratch / "static"
    shutil.copytree(scratch / "service", static / "template")
    (static / "copier.yml").write_text("_subdirectory: template\n", "utf-8")
    as_repository(static)

    times: dict[Path, list[float]] = {groundplan: [], static: []}
    for number in range(ROUNDS):
        for template, measured in times.items():
            measured.append(timed_copy(template, scratch / f"{template.name}{number}"))
    files = sum(path.is_file() for path in (scratch / "service").rglob("*"))
    ours, theirs = (statistics.median(measured) for measured in times.values())
    print(f"copying {files} files: {ours / theirs:.2f} times as long as static ones")


def source_figures() -> None:
    """Print the share of Jinja in the template's Python, and of files that parse unrendered."""
    texts = [source.read_text("utf-8") for source in python_sources()]
    lines = [line for text in texts for line in text.splitlines()]
    share = sum("{%" in line for line in lines) / len(lines)
    named = [text.replace("{{ package_name }}", "service") for text in texts]
    print(f"Jinja statements: {share:.1%} of {len(lines)} lines of Python")
    print(f"files that parse unrendered: {parsing(texts):.0%} of {len(texts)}")
    print(f"files that parse once the package has its name: {parsing(named):.0%}")


def parsing(texts: list[str]) -> float:
    """Return the share of texts that parse as Python."""
    count = 0
    for text in texts:
        try:
            ast.parse(text)
        except SyntaxError:
            continue
        count += 1
    return count / len(texts)


if __name__ == "__main__":
    source_figures()
    with tempfile.TemporaryDirectory() as folder:
        copy_figures(Path(folder))
