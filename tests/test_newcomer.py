"""The README's two commands, literally, on a machine that has only the basics."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.answers import ROOT
from tests.commands import run
from tests.pythons import interpreter

pytestmark = [pytest.mark.slow, pytest.mark.newcomer, pytest.mark.xdist_group("newcomer")]

BASICS = [
    "awk",
    "basename",
    "bash",
    "cat",
    "chmod",
    "cp",
    "cut",
    "date",
    "dirname",
    "env",
    "expr",
    "false",
    "find",
    "getconf",
    "grep",
    "head",
    "id",
    "ldd",
    "ln",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "nproc",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "sh",
    "sleep",
    "sort",
    "stat",
    "tail",
    "tar",
    "tee",
    "test",
    "touch",
    "tr",
    "true",
    "uname",
    "uniq",
    "wc",
    "which",
    "xargs",
]

# The configuration of this machine's package index is not a part of the README's commands.
NETWORK = re.compile(
    r"(PIP|UV)_\w*(INDEX|LINKS|CERT|HOST)\w*|SSL_\w+|\w*_CA_BUNDLE|\w*_proxy", re.IGNORECASE
)


def commands() -> list[str]:
    """Read the commands in the README's code blocks, in their order."""
    readme = (ROOT / "README.md").read_text("utf-8")
    return re.findall(r"(?ms)^```(?:bash|sh|console)\n(.*?)^```$", readme)


def install_python(python: Path, prefix: Path) -> Path:
    """Install a Python that has pip and no other package.

    A virtual environment would not do: uv ignores those when it searches for a Python.
    """
    asked = (
        "import os, sys, sysconfig; print(os.path.realpath(sys.executable));"
        " print(sysconfig.get_path('stdlib'))"
    )
    executable, library = map(Path, run(python, "-c", asked, cwd=prefix.parent).splitlines())
    packages = prefix / "lib" / library.name
    (packages / "site-packages").mkdir(parents=True)
    for entry in library.iterdir():
        if entry.name not in {"site-packages", "dist-packages", "EXTERNALLY-MANAGED"}:
            (packages / entry.name).symlink_to(entry)
    for entry in library.parent.glob("libpython*"):
        (prefix / "lib" / entry.name).symlink_to(entry)
    (prefix / "bin").mkdir()
    installed = prefix / "bin" / library.name
    shutil.copy2(executable, installed)
    for name in ("python", "python3"):
        (prefix / "bin" / name).symlink_to(installed.name)
    run(installed, "-m", "ensurepip", "--default-pip", cwd=prefix)
    return prefix


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine with Python 3.11, pip and the basics of a shell."""
    python = interpreter("3.11")
    assert python is not None, "The README asks for Python 3.11."
    installed = install_python(python, tmp_path / "machine")
    for name in BASICS:
        found = shutil.which(name)
        if found and not (installed / "bin" / name).exists():
            (installed / "bin" / name).symlink_to(found)
    home = tmp_path / "home"
    home.mkdir()
    for name in ("pip", "uv"):
        settings = Path.home() / ".config" / name
        if settings.is_dir():
            shutil.copytree(settings, home / ".config" / name)
    network = {name: value for name, value in os.environ.items() if NETWORK.fullmatch(name)}
    return {**network, "HOME": str(home), "PATH": f"{installed}/bin", "LANG": "C.UTF-8"}


@pytest.fixture
def clone(template: Path, tmp_path: Path) -> Path:
    """A clone of this repository, as a new user has it."""
    return shutil.copytree(template, tmp_path / "groundplan")


class Serving(NamedTuple):
    """A server process, and the file of its output."""

    process: subprocess.Popen[bytes]
    log: Path


@pytest.fixture
def serving(clone: Path, machine: dict[str, str], tmp_path: Path) -> Iterator[Serving]:
    """Run the README's first command until the test ends."""
    log = tmp_path / "first-command.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            ["bash", "-c", commands()[0]],
            cwd=clone,
            env=machine,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Serving(process, log)
        finally:
            # Like Ctrl-C in a terminal, to all processes of the command.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def fetch(path: str) -> tuple[int, str]:
    """Send a request to the service on this machine, bypassing any proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:8000{path}", timeout=10) as response:
        return response.status, response.read().decode("utf-8", "replace")


def test_first_command_starts_a_service_that_responds(serving: Serving) -> None:
    with pytest.raises(urllib.error.URLError):
        fetch("/health")  # Another server on this port would falsify the test.
    deadline = time.monotonic() + 300
    while True:
        try:
            status, body = fetch("/health")
            break
        except (urllib.error.URLError, ConnectionError):
            printed = serving.log.read_text("utf-8")
            assert serving.process.poll() is None, printed
            assert time.monotonic() < deadline, printed
            time.sleep(0.5)

    assert (status, "ok" in body) == (200, True), body
    status, page = fetch("/docs")
    assert status == 200
    assert "swagger" in page.lower()
    # The page works offline: it loads files from the service only.
    for source in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert source.startswith("/"), source
        assert fetch(source)[0] == 200


def test_second_command_runs_the_tests(clone: Path, machine: dict[str, str]) -> None:
    git = shutil.which("git")
    assert git is not None, "The README asks for git."
    Path(machine["PATH"], "git").symlink_to(git)
    # All tests are collected here. Those of two files run: the others run already, in
    # the suite that this test is part of.
    chosen = "test_questions or test_sources"
    environment = {**machine, "PYTEST_ADDOPTS": f"-m 'not slow and not update' -k '{chosen}'"}

    finished = subprocess.run(
        ["bash", "-c", commands()[1]],
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )

    assert finished.returncode == 0, finished.stdout
    assert re.search(r"\b\d{2,} passed", finished.stdout), finished.stdout
