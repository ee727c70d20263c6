"""Settings are read from AWS Secrets Manager; moto takes its place."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from order_service.core.configuration import SettingsError
from order_service.core.secrets import aws as secrets_aws
from order_service.core.secrets.aws import secret_manager
from order_service.settings import Settings

NEEDS = {"aws"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PORT", "HOST", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SECRET_ID", "orders")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def aws() -> Iterator[None]:
    """Replace AWS in this process."""
    with mock_aws():
        yield


def store(text: str) -> None:
    """Store the secret in the replaced AWS."""
    manager = boto3.client("secretsmanager", region_name="eu-central-1")
    manager.create_secret(Name="orders", SecretString=text)


@pytest.mark.usefixtures("aws")
def test_secret_gives_settings_in_either_case() -> None:
    store(json.dumps({"PORT": "9001", "host": "::1", "other": "ignored"}))

    settings = Settings.for_schema()

    assert (settings.port, settings.host) == (9001, "::1")


@pytest.mark.usefixtures("aws")
def test_environment_and_files_take_precedence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store(json.dumps({"PORT": "9001", "HOST": "::1", "LOG_LEVEL": "ERROR"}))
    monkeypatch.setenv("PORT", "9002")
    (tmp_path / "host").write_text("::2")

    settings = Settings.for_schema()

    assert (settings.port, settings.host) == (9002, "::2")
    assert settings.log_level == "ERROR"


def test_secrets_manager_is_not_requested_without_a_secret_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_SECRET_ID")

    assert secret_manager(Settings)() == {}


@pytest.mark.usefixtures("aws")
def test_missing_secret_is_reported() -> None:
    with pytest.raises(SettingsError, match="ResourceNotFoundException") as caught:
        Settings.load()

    (problem,) = caught.value.problems
    assert problem.startswith("AWS_SECRET_ID: Secrets Manager did not give the secret")


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("text", ["hunter2", '["hunter2"]', '{"PORT": "hunter2"'])
def test_malformed_secret_is_reported_without_its_content(text: str) -> None:
    store(text)

    with pytest.raises(SettingsError, match="it is not a JSON object") as caught:
        Settings.load()

    assert "hunter2" not in str(caught.value)


@pytest.mark.usefixtures("aws")
def test_missing_region_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "nothing"))

    with pytest.raises(SettingsError, match="NoRegionError"):
        Settings.load()


def test_hanging_secrets_manager_is_reported_after_a_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick = Config(connect_timeout=0.2, read_timeout=0.2)
    monkeypatch.setattr(secrets_aws, "LIMITS", secrets_aws.LIMITS.merge(quick))
    started = monotonic()
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        address = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", address)

        with pytest.raises(SettingsError, match="did not give the secret"):
            Settings.load()

    assert monotonic() - started < 5
