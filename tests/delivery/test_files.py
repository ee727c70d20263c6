"""What can be said of the files of delivery without running them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.answers import VARIANTS, Answers
from tests.commands import run
from tests.conftest import Render
from tests.delivery.engine import require_engine

TOOLS = Path(sys.executable).parent

every_variant = pytest.mark.parametrize("answers", list(VARIANTS.values()), ids=list(VARIANTS))


@pytest.fixture(scope="session", autouse=True)
def _engine() -> None:
    require_engine()


@every_variant
def test_compose_understands_its_files(
    render: Render, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Compose reads the developer's settings as well.
    for name in ("COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)
    service = render(answers)
    development = ["--file", "compose.yaml", "--file", "compose.development.yaml"]

    printed = run("docker", "compose", "--profile", "*", "config", "--quiet", cwd=service)
    printed += run("docker", "compose", *development, "config", "--quiet", cwd=service)

    assert not printed


@every_variant
def test_what_compose_mounts_is_there(render: Render, answers: Answers) -> None:
    service = render(answers)
    document = yaml.safe_load((service / "compose.yaml").read_text("utf-8"))

    mounted = [
        volume.split(":")[0]
        for one in document["services"].values()
        for volume in one.get("volumes", [])
        if volume.startswith("./")
    ]

    assert [path for path in mounted if not (service / path).is_file()] == []


@every_variant
def test_linters_find_nothing(render: Render, answers: Answers) -> None:
    service = render(answers)

    run(TOOLS / "hadolint", "Dockerfile", cwd=service)
    if scripts := sorted(service.glob("deploy/*.sh")):
        run(TOOLS / "shellcheck", *scripts, cwd=service)


@pytest.mark.parametrize("name", ["defaults", "all-on", "all-off"])
def test_trivy_finds_nothing(render: Render, name: str) -> None:
    options = ["--skip-check-update", "--exit-code=1", "--severity=MEDIUM,HIGH,CRITICAL"]

    run(TOOLS / "trivy", "config", *options, ".", cwd=render(VARIANTS[name]))


def test_the_check_for_linters_is_not_blind(render: Render, tmp_path: Path) -> None:
    service = shutil.copytree(render({}), tmp_path / "service")
    dockerfile = service / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text("utf-8").replace("USER 10001:10001", "USER root"))

    found = subprocess.run(
        [TOOLS / "hadolint", "Dockerfile"], cwd=service, capture_output=True, check=False
    )

    assert found.returncode == 1
