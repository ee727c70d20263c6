"""Test servers, which receive the requests that a service sends to other services."""

import http.server
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import pytest


class Received(NamedTuple):
    """One request that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


def accept(_: Received) -> int:
    """Respond to every request with success."""
    return 200


class Receiver:
    """Accepts every POST, and records those that it responded to with success."""

    def __init__(self, answer: Callable[[Received], int] = accept) -> None:
        self.received: list[Received] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): text for name, text in self.headers.items()}
                received = Received(self.path, headers, body)
                status = answer(received)
                if status < 300:
                    receiver.received.append(received)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                # A client that was killed does not wait for the response.
                with suppress(OSError):
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Iterator["Receiver"]:
        """Serve until the end."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        yield self
        self._server.shutdown()
        self._server.server_close()


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until a condition is true."""
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            pytest.fail(f"After {seconds} seconds there is still no {what}.")
        time.sleep(0.1)


def free_port() -> int:
    """Find a port that is not in use, below those that outgoing connections take."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
