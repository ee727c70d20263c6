"""Settings are read from HashiCorp Vault; a small server takes its place."""

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

import pytest

from order_service.core.configuration import SettingsError
from order_service.core.secrets import vault as secrets_vault
from order_service.core.secrets.vault import secret_manager
from order_service.settings import Settings

NEEDS = {"vault"}

TOKEN = "hvs.hunter2"


class Vault(ThreadingHTTPServer):
    """Implements the part of Vault's API that reads a secret."""

    daemon_threads = True
    responses: dict[str, Any]


class Handler(BaseHTTPRequestHandler):
    """Responds as Vault does."""

    server: Vault

    def do_GET(self) -> None:
        """Return the response for a path to a request with the right token."""
        if self.headers["X-Vault-Token"] != TOKEN:
            self._send(403, {"errors": ["permission denied"]})
        elif self.path in self.server.responses:
            self._send(200, self.server.responses[self.path])
        else:
            self._send(404, {"errors": []})

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _send(self, status: int, content: object) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def secret(**settings: object) -> dict[str, object]:
    """Return Vault's response with a secret."""
    return {"data": {"data": settings, "metadata": {"version": 1}}}


@pytest.fixture(autouse=True)
def vault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Vault]:
    """Run a Vault, and configure it by the environment."""
    for name in ("PORT", "HOST", "LOG_LEVEL", "VAULT_TOKEN_FILE", "VAULT_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    with Vault(("127.0.0.1", 0), Handler) as vault:
        vault.responses = {}
        monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{vault.server_port}")
        monkeypatch.setenv("VAULT_TOKEN", TOKEN)
        monkeypatch.setenv("VAULT_PATH", "secret/team/orders")
        monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        thread = Thread(target=vault.serve_forever, args=(0.05,))
        thread.start()
        yield vault
        vault.shutdown()
        thread.join()


def problem() -> str:
    """Return the one problem of loading the settings; it must not quote the secret."""
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    (problem,) = caught.value.problems
    assert "hunter2" not in problem
    return problem


def test_secret_gives_settings_in_either_case(vault: Vault) -> None:
    vault.responses["/v1/secret/data/team/orders"] = secret(
        PORT=9001, host="::1", allowed_hosts="a.example.com, b.example.com", other=None
    )

    settings = Settings.for_schema()

    assert (settings.port, settings.host) == (9001, "::1")
    assert settings.allowed_hosts == ["a.example.com", "b.example.com"]


def test_environment_and_files_take_precedence(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vault.responses["/v1/secret/data/team/orders"] = secret(
        PORT="9001", HOST="::1", LOG_LEVEL="ERROR"
    )
    monkeypatch.setenv("PORT", "9002")
    (tmp_path / "host").write_text("::2")

    settings = Settings.for_schema()

    assert (settings.port, settings.host) == (9002, "::2")
    assert settings.log_level == "ERROR"


def test_token_is_read_from_a_file(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vault.responses["/v1/secret/data/team/orders"] = secret(PORT=9001)
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("VAULT_TOKEN_FILE", str(tmp_path / "vault-token"))

    assert problem() == "VAULT_TOKEN_FILE: cannot be read (FileNotFoundError)"

    (tmp_path / "vault-token").write_text(f"{TOKEN}\n")
    assert Settings.for_schema().port == 9001


def test_vault_is_not_requested_without_a_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("VAULT_PATH")

    assert secret_manager(Settings)() == {}


@pytest.mark.parametrize("name", ["VAULT_ADDR", "VAULT_TOKEN"])
def test_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)

    assert problem().startswith(f"{name}: required where VAULT_PATH is set")


def test_wrong_token_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "another")

    assert problem() == "VAULT_PATH: Vault did not give the secret (Forbidden)"


def test_missing_secret_is_reported() -> None:
    assert problem() == "VAULT_PATH: Vault did not give the secret (InvalidPath)"


@pytest.mark.parametrize(
    "response",
    [b"<p>hunter2", b"", [], {}, {"data": None}, {"data": {"data": "hunter2"}}],
)
def test_malformed_response_is_reported(vault: Vault, response: object) -> None:
    vault.responses["/v1/secret/data/team/orders"] = response

    assert problem().startswith("VAULT_PATH: Vault did not give the secret (")


def test_refused_connection_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{port}")

    assert problem() == "VAULT_PATH: Vault did not give the secret (ConnectionError)"


def test_hanging_vault_is_reported_after_a_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(secrets_vault, "SECONDS", 0.2)
    started = monotonic()
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{hanging.getsockname()[1]}")

        assert problem() == "VAULT_PATH: Vault did not give the secret (ReadTimeout)"

    assert monotonic() - started < 5
