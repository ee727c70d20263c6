"""Services that run on this machine, and requests to them."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.commands import run
from tests.receivers import free_port

SECONDS_TO_START = 60
ITEMS = "/api/v1/items"

CHEAP = {"PASSWORD_HASH_MEMORY_KIB": "32", "PASSWORD_HASH_ROUNDS": "1"}
"""Settings that make the hash of a password as cheap as the algorithm allows."""


class Reply(NamedTuple):
    """The status and the content of a response."""

    status: int
    body: Any


class Response(NamedTuple):
    """A whole response."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:  # noqa: ANN401 - It is JSON.
        """The content, read as JSON."""
        return json.loads(self.text or "null")


def send(
    url: str, method: str = "GET", content: object = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Send a request and return its response, whatever its status is."""
    body = None if content is None else json.dumps(content).encode()
    sent = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, body, sent, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            status, found, read = response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        status, found, read = error.code, error.headers, error.read()
    return Response(status, {name.lower(): text for name, text in found.items()}, read.decode())


def ask(url: str, method: str = "GET", content: object = None, token: str = "") -> Reply:
    """Send a request, perhaps as a user, and return the status and the content."""
    response = send(url, method, content, bearer(token) if token else {})
    return Reply(response.status, response.body)


def bearer(token: str) -> dict[str, str]:
    """Return the header of a user who is signed in."""
    return {"Authorization": f"Bearer {token}"}


def sign_in(url: str, email: str) -> str:
    """Register a user and return their access token."""
    person = {"email": email, "password": "a long and quiet river", "full_name": "Ada"}
    assert ask(f"{url}/api/v1/users", "POST", person).status == 201
    form = f"username={email}&password=a+long+and+quiet+river".encode()
    with urllib.request.urlopen(f"{url}/api/v1/auth/token", form, timeout=30) as answer:  # noqa: S310
        token: str = json.loads(answer.read())["access_token"]
    return token


@contextmanager
def developing(service: Path, **environment: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve with `dev`, which starts its own database and Redis; kill it at the end."""
    with _running(service, "dev", environment) as running:
        yield running


@contextmanager
def serving(service: Path, **environment: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve a service with SQLite or no database by `serve`; kill it at the end."""
    settings = {
        "ENVIRONMENT": "development",
        "DATABASE_URL": f"sqlite:///{service / 'served.db'}",
        "JWT_SECRET": "a key of thirty-two bytes, at least",
        **CHEAP,
        **environment,
    }
    if (service / "tests/test_migrations.py").exists():
        command = service / ".venv/bin/order-service"
        run(command, "migrate", cwd=service, environment=settings)
    with _running(service, "serve", settings) as running:
        yield running


@contextmanager
def _running(
    service: Path, verb: str, environment: Mapping[str, str]
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    log = service / f"{verb}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [service / ".venv/bin/order-service", verb, "--port", str(port)],
            cwd=service,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        give_up = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                if ask(f"{url}/health/ready").status == 200:
                    break
            except OSError:
                time.sleep(0.2)
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < give_up, log.read_text("utf-8")
        yield url, process
    finally:
        # Its children are in its group; servers that `dev` starts end with their parent.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
