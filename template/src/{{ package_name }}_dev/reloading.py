"""Commands of this service that run besides `dev`, and restart when its code changes.

A supervisor, this file run as a script, starts them. It stops them once `dev`'s end of a
pipe is closed, which the kernel does for killed processes, too. If the supervisor itself
is killed, Linux stops the commands.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_LOOK_SECONDS = 0.5
_STOP_SECONDS = 3.0


@contextmanager
def reloading(*verbs: str) -> Iterator[None]:
    """Run commands of this service, each in its own process, until the block ends."""
    here = Path(__file__).resolve().parent
    folder = here.with_name(here.name.removesuffix("_dev"))
    # -I keeps this folder off sys.path: its modules would hide those of the standard library.
    command = [sys.executable, "-I", "-S", __file__, str(folder)]
    supervisor = subprocess.Popen(  # noqa: S603
        [*command, *verbs],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in a terminal only reaches `dev`.
    )
    try:
        yield
    finally:
        if supervisor.stdin is not None:
            supervisor.stdin.close()
        supervisor.wait()


def _supervise(folder: Path, verbs: Sequence[str]) -> None:
    """Run the commands until the pipe to `dev` is closed at its other end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    is_wanted = True
    while is_wanted:
        code = _code(folder)
        commands = [_start(folder.name, verb) for verb in verbs]
        try:
            # Nothing is ever sent: the pipe becomes readable when it is closed.
            while is_wanted and _code(folder) == code:
                is_wanted = not select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]
        finally:
            _stop(commands)


def _code(folder: Path) -> dict[Path, int]:
    """Return the modification times of all modules."""
    found = {}
    for path in folder.rglob("*.py"):
        try:
            found[path] = path.stat().st_mtime_ns
        except FileNotFoundError:
            continue  # Editors replace files; the next check finds the new one.
    return found


def _start(package: str, verb: str) -> subprocess.Popen[bytes]:
    script = f"from {package}.cli import main; main()"
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", script, verb],
        stdin=subprocess.DEVNULL,
        # A developer who has changed the code does not want to wait for running jobs.
        env={**os.environ, "SHUTDOWN_SECONDS": "1"},
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - no thread runs in here
    )


def _stop(commands: Sequence[subprocess.Popen[bytes]]) -> None:
    for command in commands:
        command.terminate()
    for command in commands:
        try:
            command.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            command.kill()
            command.wait()


def _end_with_parent() -> None:
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


if __name__ == "__main__":
    _supervise(Path(sys.argv[1]), sys.argv[2:])
