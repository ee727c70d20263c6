"""The local PostgreSQL of development and tests is shared, and leaves nothing behind."""

import asyncio
import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from order_service_dev import postgres as local_postgres
from order_service_dev.postgres import (
    LocalPostgresError,
    LocalServer,
    durable_server,
    throwaway_server,
)

from ..service import PYTHON
from ..waiting import wait_in_thread_until

NEEDS = {"postgresql"}

# Prints the URL of its server, and then runs until it is stopped.
PROGRAM = """
import sys, time
from pathlib import Path
from order_service_dev.postgres import durable_server, throwaway_server

with durable_server(Path(sys.argv[1])) if sys.argv[1:] else throwaway_server() as server:
    try:
        print(server.url, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        time.sleep(60)
"""


def query(url: str, sql: str) -> str:
    """Run one statement over a new connection, and return its first value as text."""

    async def run() -> str:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            return str(await connection.fetchval(sql))
        finally:
            await connection.close()

    return asyncio.run(run())


def accepts_connections(url: str) -> bool:
    """Return whether a server listens at a URL."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def is_free(lock: Path) -> bool:
    """Return whether no process holds ``lock``."""
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def cluster_in(directory: Path) -> Path:
    """Return the only cluster below ``directory``."""
    (cluster,) = directory.glob("postgres-*/cluster")
    return cluster


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a folder that the account of root's server can enter; it cannot enter pytest's."""
    path = Path(tempfile.mkdtemp(prefix="local-postgres-test-"))
    path.chmod(0o755)
    yield path / "data"
    try:
        # The server of a killed program may still be stopping.
        for lock in path.glob("*/*/server.lock"):
            wait_in_thread_until(partial(is_free, lock))
    finally:
        shutil.rmtree(path)


@pytest.fixture(scope="module")
def initialized() -> Iterator[Path]:
    """Return a folder with data that one start has created, for tests to copy."""
    with tempfile.TemporaryDirectory(prefix="local-postgres-test-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        with durable_server(path / "data") as server:
            query(server.url, "CREATE TABLE kept AS SELECT 42 AS number")
        yield path / "data"


@pytest.fixture
def existing(directory: Path, initialized: Path) -> Path:
    """Return a folder with data of an earlier start."""
    # With owners and modes, which Python's copytree does not keep.
    subprocess.run(["cp", "-a", initialized, directory], check=True)
    return directory


@pytest.fixture(scope="module")
def throwaway() -> Iterator[LocalServer]:
    """Start a server that these tests share."""
    with throwaway_server() as server:
        yield server


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Return a function that starts the program as a process, and returns its URL."""
    started: list[subprocess.Popen[str]] = []

    def start_program(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        command = [PYTHON, "-c", PROGRAM, *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start_program
    for process in started:
        process.kill()
        process.communicate()


def test_throwaway_server_is_configured_for_tests(throwaway: LocalServer) -> None:
    """Encoding and time zone do not depend on the machine."""
    assert throwaway.source.startswith("PostgreSQL ")
    assert query(throwaway.url, "SHOW server_version").split()[0] in throwaway.source
    assert query(throwaway.url, "SHOW server_encoding") == "UTF8"
    assert query(throwaway.url, "SHOW timezone") == "UTC"
    assert query(throwaway.url, "SHOW fsync") == "off"
    assert query(throwaway.url, "SHOW full_page_writes") == "off"
    assert query(throwaway.url, "SHOW synchronous_commit") == "off"


def test_server_requires_the_loopback_address_and_the_password(throwaway: LocalServer) -> None:
    """Other users of the machine, and other machines, have no access."""
    assert query(throwaway.url, "SHOW listen_addresses") == "127.0.0.1"
    assert query(throwaway.url, "SHOW unix_socket_directories") == ""
    stored = query(throwaway.url, "SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'")
    assert stored.startswith("SCRAM-SHA-256$")
    password = throwaway.url.split(":")[2].partition("@")[0]
    assert len(password) > 30
    assert password not in repr(throwaway)
    with pytest.raises(asyncpg.InvalidPasswordError):
        query(throwaway.url.replace(password, "guess"), "SELECT 1")


def test_throwaway_server_leaves_nothing_behind() -> None:
    """Server and data are removed at the end of the block, also after an error."""
    url, data = "", Path()

    def fail() -> None:
        nonlocal url, data
        with throwaway_server() as server:
            url, data = server.url, Path(query(server.url, "SHOW data_directory"))
            assert data.is_dir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not accepts_connections(url)
    assert not data.parent.parent.exists()


def test_throwaway_servers_that_start_at_once_are_independent() -> None:
    """Each of several test sessions gets its own server."""

    def use(number: int) -> tuple[str, str]:
        with throwaway_server() as server:
            query(server.url, f"CREATE TABLE seen AS SELECT {number} AS number")
            all_ready.wait(60)
            return server.url, query(server.url, "SELECT number FROM seen")

    all_ready = threading.Barrier(3)
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(use, range(3)))
    assert [number for _, number in results] == ["0", "1", "2"]
    assert len({url for url, _ in results}) == 3


def test_port_that_is_taken_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program may take the port after it was chosen."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(local_postgres, "_free_port", lambda: port)
        with throwaway_server() as server:
            assert query(server.url, "SELECT 1") == "1"
            assert f":{port}/" not in server.url


def test_database_url_names_another_database() -> None:
    """Names are quoted, because they may hold any character."""
    server = LocalServer("postgresql://postgres:secret@127.0.0.1:5432/postgres", "any")
    assert server.database_url("a/b") == "postgresql://postgres:secret@127.0.0.1:5432/a%2Fb"


def test_durable_server_keeps_its_data(existing: Path) -> None:
    """The data is there after a restart, and writes are durable."""
    password = cluster_in(existing) / "password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert password.stat().st_uid == os.geteuid()
    began = time.monotonic()
    with durable_server(existing) as server:
        assert time.monotonic() - began < 5
        assert query(server.url, "SELECT number FROM kept") == "42"
        assert query(server.url, "SHOW fsync") == "on"
    assert not accepts_connections(server.url)


def test_durable_server_runs_until_its_last_user_ends(existing: Path) -> None:
    """A migration uses the server of a running service, in whichever order they start."""
    first, second = durable_server(existing), durable_server(existing)
    one, two = first.__enter__(), second.__enter__()
    try:
        assert one.url == two.url
    finally:
        first.__exit__(None, None, None)
        try:
            assert query(two.url, "SELECT 1") == "1"
        finally:
            second.__exit__(None, None, None)
    assert not accepts_connections(two.url)


def test_processes_that_start_at_once_share_one_durable_server(
    directory: Path, start: Callable[..., tuple[subprocess.Popen[str], str]]
) -> None:
    """Only one of the processes creates the data."""
    with ThreadPoolExecutor(3) as pool:
        urls = {url for _, url in pool.map(lambda _: start(str(directory)), range(3))}
    assert len(urls) == 1
    assert query(urls.pop(), "SELECT 1") == "1"


def test_interrupted_creation_is_repeated(existing: Path) -> None:
    """The incomplete files of an earlier start are not used as data."""
    cluster = cluster_in(existing)
    cluster.rename(cluster.with_name("cluster.new"))
    (cluster.with_name("cluster.new") / "data" / "PG_VERSION").unlink()
    with durable_server(existing) as server:
        assert query(server.url, "SELECT 1") == "1"
    assert not cluster.with_name("cluster.new").exists()


def test_stale_process_file_does_not_prevent_the_start(existing: Path) -> None:
    """After a power failure its number may belong to another process."""
    with durable_server(existing):
        data = cluster_in(existing) / "data"
        lines = (data / "postmaster.pid").read_text("utf-8").splitlines()
    account = data.stat().st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["/bin/sleep", "60"], user=account) as other:
        stale = [str(other.pid), *lines[1:]]
        (data / "postmaster.pid").write_text("\n".join(stale) + "\n", "utf-8")
        try:
            with durable_server(existing) as server:
                assert query(server.url, "SELECT 1") == "1"
        finally:
            other.kill()


def test_data_of_another_major_version_is_rejected(existing: Path) -> None:
    """The message names the folder to move away."""
    (cluster_in(existing) / "data" / "PG_VERSION").write_text("9\n", "ascii")
    with pytest.raises(LocalPostgresError, match="move that directory away") as raised:
        durable_server(existing).__enter__()
    assert str(cluster_in(existing).parent) in str(raised.value)


def test_log_of_a_failed_start_is_in_the_message(existing: Path) -> None:
    """The reader does not have to find the log file."""
    with (cluster_in(existing) / "data" / "postgresql.conf").open("a", encoding="utf-8") as conf:
        conf.write("no_such_setting = 1\n")
    with pytest.raises(LocalPostgresError, match="no_such_setting"):
        durable_server(existing).__enter__()


def test_reason_of_a_failed_creation_is_in_the_message(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failures of the supervisor are reported, too."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(local_postgres, "_SYSTEM_PATTERNS", ())
    monkeypatch.setenv("PATH", str(directory.parent), prepend=os.pathsep)
    postgres = directory.with_name("postgres")
    postgres.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 17.2'\n")
    postgres.chmod(0o755)
    directory.with_name("initdb").touch(mode=0o644)
    with pytest.raises(LocalPostgresError, match="Permission denied"):
        throwaway_server().__enter__()


def test_folder_that_others_can_write_to_is_rejected(existing: Path) -> None:
    """Another user could have put data or binaries there."""
    cluster_in(existing).parent.chmod(0o777)
    with pytest.raises(LocalPostgresError, match="only the current user can write"):
        durable_server(existing).__enter__()


@pytest.mark.parametrize("kept", [False, True], ids=["throwaway", "durable"])
def test_killed_process_leaves_no_server_behind(
    existing: Path,
    start: Callable[..., tuple[subprocess.Popen[str], str]],
    *,
    kept: bool,
) -> None:
    """A process cannot clean up after SIGKILL."""
    process, url = start(*[str(existing)] if kept else [])
    data = Path(query(url, "SHOW data_directory"))
    process.kill()
    wait_in_thread_until(lambda: not accepts_connections(url))
    wait_in_thread_until(lambda: data.exists() == kept)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties the server to its supervisor")
def test_server_stops_when_its_supervisor_is_killed(existing: Path) -> None:
    """The next start succeeds."""
    with durable_server(existing) as server:
        pid_file = cluster_in(existing) / "data" / "postmaster.pid"
        server_pid = pid_file.read_text("utf-8").splitlines()[0]
        status = Path(f"/proc/{server_pid}/stat").read_text("utf-8")
        os.kill(int(status.rpartition(")")[2].split()[1]), signal.SIGKILL)
        wait_in_thread_until(lambda: not accepts_connections(server.url))
        with durable_server(existing) as successor:
            assert query(successor.url, "SELECT 1") == "1"


def test_interrupt_reaches_the_program_but_not_its_server(
    start: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    """Ctrl-C reaches the process group; the program needs its database to shut down."""
    process, url = start()
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "interrupted"
    assert query(url, "SELECT 1") == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account for the server")
def test_root_moves_files_that_the_account_of_the_server_cannot_read(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither binaries nor data are used from a closed home folder."""
    shelter = directory.parent / "shelter"
    shelter.mkdir(mode=0o755)
    monkeypatch.setattr(local_postgres, "_SHELTERS", (str(shelter),))
    closed = directory.parent / "closed"
    closed.mkdir(mode=0o700)
    reachable = local_postgres.__dict__["_reachable"]
    monkeypatch.setattr(
        local_postgres,
        "_reachable",
        lambda path: path.name != "postgres" and reachable(path),
    )
    for _ in range(2):
        with durable_server(closed / "data") as server:
            data = query(server.url, "SHOW data_directory")
            assert query(server.url, "SELECT 1") == "1"
        assert data.startswith(f"{shelter}/local-postgres-data-")
        assert f"data in {shelter}" in server.source
    assert len(list(shelter.iterdir())) == 2, "the binaries and the data, each once"


def test_missing_binaries_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message offers three solutions."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(local_postgres, "_SYSTEM_PATTERNS", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LocalPostgresError, match=r"uv sync.*install PostgreSQL.*DATABASE_URL"):
        throwaway_server().__enter__()


def test_binaries_on_the_path_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A version that is too old is skipped."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(local_postgres, "_SYSTEM_PATTERNS", ())
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    find = local_postgres.__dict__["_find_installation"]
    for name in ("initdb", "postgres"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 17.2 (Debian)'\n")
        (tmp_path / name).chmod(0o755)
    assert find() == ((17, "17.2", tmp_path), f"found in {tmp_path}")
    (tmp_path / "postgres").write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 13.9'\n")
    with pytest.raises(LocalPostgresError, match="No PostgreSQL was found"):
        find()


@pytest.mark.parametrize(
    ("uid", "who"), [(0, "nobody"), (12345, "user id 12345")], ids=["root", "ordinary"]
)
def test_account_without_a_name_is_reported(
    monkeypatch: pytest.MonkeyPatch, uid: int, who: str
) -> None:
    """PostgreSQL would only report that it could not look up a user id."""

    def missing(_: object) -> None:
        raise KeyError

    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr("pwd.getpwuid", missing)
    monkeypatch.setattr("pwd.getpwnam", missing)
    with pytest.raises(LocalPostgresError, match=who):
        throwaway_server().__enter__()


def test_windows_requires_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server is started on Windows."""
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(LocalPostgresError, match="set DATABASE_URL"):
        throwaway_server().__enter__()
