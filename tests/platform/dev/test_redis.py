"""The local Valkey of development and tests serves one process, and leaves nothing behind."""

import importlib.util
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from order_service_dev import redis as module
from order_service_dev.redis import (
    LocalRedis,
    LocalRedisError,
    local_redis,
)

from ..service import PYTHON
from ..waiting import wait_in_thread_until

NEEDS = {"redis"}

# Prints the URL of its server, and then runs until it is stopped.
PROGRAM = """
import time
from order_service_dev.redis import local_redis

with local_redis() as server:
    try:
        print(server.url, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        time.sleep(60)
"""


def path_of(url: str) -> Path:
    """Return the path of the socket of a URL."""
    return Path(url.removeprefix("unix://"))


def send(path: Path, command: str) -> str:
    """Send one command, and return the response."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(f"{command}\r\n".encode())
        return connection.recv(4096).decode()


def responds(path: Path) -> bool:
    """Return whether a server responds."""
    try:
        return send(path, "PING") == "+PONG\r\n"
    except OSError:
        return False


def ends(connection: socket.socket) -> bool:
    """Wait for the end of a connection."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def connected(path: Path) -> socket.socket:
    """Open a connection, which ends when the server ends."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(str(path))
    return connection


@pytest.fixture
def program() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Start the program as a process, and return it with the socket of its server."""
    process = subprocess.Popen(
        [PYTHON, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    yield process, path_of(process.stdout.readline().strip())
    process.kill()
    process.communicate()


def test_server_listens_on_a_private_socket_only(tmp_path: Path) -> None:
    with local_redis() as server:
        path = path_of(server.url)
        assert send(path, "PING") == "+PONG\r\n"
        assert "tcp_port:0" in send(path, "INFO server")
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert server.source.split()[0] in {"Valkey", "Redis"}
        assert not list(tmp_path.iterdir())


def test_server_and_files_are_removed_after_an_error() -> None:
    path = Path()
    connections = []

    def fail() -> None:
        nonlocal path
        with local_redis() as server:
            path = path_of(server.url)
            connections.append(connected(path))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()

    assert not path.parent.exists()
    with connections[0] as connection:
        assert ends(connection)


def test_restarted_server_is_empty_and_has_the_same_url() -> None:
    with local_redis() as server:
        path = path_of(server.url)
        send(path, "SET key content")
        server.stop()
        assert not responds(path)

        server.start()

        assert send(path, "GET key") == "$-1\r\n"


def test_killed_process_leaves_no_server_behind(
    program: tuple[subprocess.Popen[str], Path],
) -> None:
    process, path = program
    with connected(path) as connection:
        process.kill()

        assert ends(connection)
    wait_in_thread_until(lambda: not path.parent.exists())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties the server to its supervisor")
def test_killed_supervisor_leaves_no_server_behind(
    program: tuple[subprocess.Popen[str], Path],
) -> None:
    _, path = program
    server = send(path, "INFO server").partition("process_id:")[2].split()[0]
    status = Path(f"/proc/{server}/status").read_text("utf-8")
    supervisor = int(status.partition("PPid:")[2].split()[0])
    with connected(path) as connection:
        os.kill(supervisor, signal.SIGKILL)

        assert ends(connection)
    # With both of them killed, no process is left to remove the empty folder.
    shutil.rmtree(path.parent)


def test_interrupt_reaches_the_program_but_not_its_server(
    program: tuple[subprocess.Popen[str], Path],
) -> None:
    process, path = program

    os.killpg(process.pid, signal.SIGINT)

    assert process.stdout is not None
    assert process.stdout.readline() == "interrupted\n"
    assert responds(path)


def test_missing_binary_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(LocalRedisError, match=r"uv sync.*install Valkey.*REDIS_URL"):
        LocalRedis()


def test_binary_on_the_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for name, body in {
        "valkey-server": "exit 126",
        "redis-server": "echo 'Redis server v=7.0.15 sha=00000000:0 bits=64'",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)

    server = LocalRedis()
    server.stop()

    assert server.source == f"Redis 7.0.15 found at {tmp_path / 'redis-server'}"


def test_output_of_a_failed_start_is_in_the_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    binary = tmp_path / "valkey-server"
    binary.write_text("#!/bin/sh\necho 'no memory'\n")
    binary.chmod(0o755)
    monkeypatch.setattr(module, "_find_server", lambda: (str(binary), "Valkey 9"))

    with pytest.raises(LocalRedisError, match=r"(?s)Valkey 9 did not start.*no memory"):
        local_redis().__enter__()


def test_windows_requires_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(LocalRedisError, match="set REDIS_URL"):
        local_redis().__enter__()
