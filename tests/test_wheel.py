"""The wheel contains the production package only, and its command works without the other."""

import os
import signal
import subprocess
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.answers import Answers
from tests.commands import run
from tests.conftest import Render
from tests.receivers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]

ANSWERS: Answers = {"database": "sqlite"}


@pytest.fixture(scope="module")
def service(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built service: its source distribution, and the wheel made from that."""
    path = tmp_path_factory.mktemp("wheel") / "service"
    run("cp", "-R", render(ANSWERS), path, cwd=path.parent)
    run("uv", "build", "--quiet", cwd=path)
    return path


@pytest.fixture(scope="module")
def installed(service: Path) -> Path:
    """The folder of the commands of the installed wheel, as in the image."""
    (wheel,) = (service / "dist").glob("*.whl")
    environment = service.with_name("installed")
    run("uv", "venv", "--quiet", environment, cwd=service)
    run("uv", "pip", "install", "--quiet", "--python", environment, wheel, cwd=service)
    return environment / "bin"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """The required production settings."""
    return {
        "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'database.sqlite3'}",
        "JWT_SECRET": "c3f1a9d27b5e48608d4ce1f70a92b6d5",
        "ALLOWED_HOSTS": '["127.0.0.1"]',
    }


def test_only_the_production_package_is_built(service: Path) -> None:
    (wheel,) = (service / "dist").glob("*.whl")
    (source,) = (service / "dist").glob("*.tar.gz")

    packages = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert packages == {"order_service", "order_service-0.1.0.dist-info"}
    with tarfile.open(source) as archive:
        assert not [name for name in archive.getnames() if "order_service_dev" in name]


def test_image_excludes_the_development_package(service: Path) -> None:
    dockerfile = (service / "Dockerfile").read_text("utf-8")
    ignored = (service / ".dockerignore").read_text("utf-8").splitlines()

    # The image installs what the build makes from files that are not ignored.
    assert "COPY src src\n" in dockerfile
    assert "--prefix /opt/service .\n" in dockerfile.replace(" \\\n", "\n")
    assert ignored.index("src/*_dev") > ignored.index("!src")


def test_installed_command_has_no_development_verb(installed: Path, tmp_path: Path) -> None:
    said = run(installed / "order-service", "--help", cwd=tmp_path, environment={"COLUMNS": "80"})

    for verb in ("serve", "openapi", "check-config", "migrate", "create-user"):
        assert f" {verb} " in said
    assert " dev " not in said
    assert '"openapi": "3' in run(installed / "order-service", "openapi", cwd=tmp_path)


def test_installed_command_has_no_development_settings(installed: Path, tmp_path: Path) -> None:
    said = run(installed / "order-service", "migrate", cwd=tmp_path, status=2)

    assert "DATABASE_URL" in said


@pytest.fixture
def serving(
    installed: Path, tmp_path: Path, settings: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The installed service over a migrated database, and its port."""
    run(installed / "order-service", "migrate", cwd=tmp_path, environment=settings)
    port = free_port()
    with subprocess.Popen(
        [installed / "order-service", "serve", "--port", str(port)],
        cwd=tmp_path,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Uvicorn running" in line:
                break
        else:
            pytest.fail(f"It does not serve:\n{''.join(lines)}")
        yield process, port
        process.kill()


def test_installed_command_migrates_and_serves(
    serving: tuple[subprocess.Popen[str], int],
) -> None:
    process, port = serving
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=60) as response:
        assert response.status == 200

    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
