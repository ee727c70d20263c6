"""What Compose itself says of the files."""

import pytest

from tests.answers import EACH_VARIANT, Answers
from tests.commands import run
from tests.conftest import Render
from tests.delivery.engine import require_engine


@pytest.fixture(scope="session", autouse=True)
def _engine() -> None:
    require_engine()


@pytest.mark.parametrize("answers", EACH_VARIANT)
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
