"""The command ``dev`` brings what a developer's machine lacks, and keeps its data."""

import signal
import socket
from pathlib import Path

from order_service.settings import Settings

from ..accounts import ADA, PASSWORD
from ..service import has
from ..serving import environment_of, run_here, serving

ACCOUNT = {"email": ADA, "password": PASSWORD, "full_name": "Ada Lovelace"}


def test_port_in_use_is_reported(settings: Settings, tmp_path: Path) -> None:
    environment = environment_of(settings)
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(environment["PORT"])))
        other.listen()

        completed = run_here("dev", environment=environment, directory=tmp_path)

    assert completed.returncode == 1
    assert f"Port {environment['PORT']} cannot be used" in completed.stderr
    assert "Traceback" not in completed.stderr


def test_development_provides_what_is_missing_and_keeps_its_data(
    settings: Settings, tmp_path: Path
) -> None:
    # Everything that points to something that runs already is removed.
    provided = ("ENVIRONMENT", "_URL", "_SECRET")
    bare = {
        name: content
        for name, content in environment_of(settings).items()
        if not name.endswith(provided)
    }
    with serving("dev", bare, tmp_path) as served:
        assert served.get("/docs").status_code == 200
        if has("auth"):
            assert served.request("POST", "/api/v1/users", ACCOUNT).status_code == 201
        served.stop(signal.SIGINT)

    if has("auth"):
        with serving("dev", bare, tmp_path) as served:
            assert served.request("POST", "/api/v1/users", ACCOUNT).status_code == 409
            served.stop(signal.SIGINT)
