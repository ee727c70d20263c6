"""Settings are read from mounted files, after the environment and the .env file."""

from pathlib import Path

import pytest

from order_service.core.configuration import SettingsError
from order_service.core.secrets import files as secret_files
from order_service.settings import Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PORT", "LOG_LEVEL", "ENVIRONMENT", "SECRETS_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Mount an empty directory of settings."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    monkeypatch.setenv("SECRETS_DIR", str(mounted))
    return mounted


@pytest.mark.parametrize("name", ["port", "PORT"])
def test_setting_is_read_from_a_file(mounted: Path, name: str) -> None:
    (mounted / name).write_text("9001\n")

    assert Settings.for_schema().port == 9001


def test_list_in_a_file_is_separated_by_commas(mounted: Path) -> None:
    (mounted / "allowed_hosts").write_text("a.example.com, b.example.com\n")

    assert Settings.for_schema().allowed_hosts == ["a.example.com", "b.example.com"]


def test_precedence_is_environment_env_file_mounted_file(
    monkeypatch: pytest.MonkeyPatch, mounted: Path
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    for name, level in {"port": "9001", "log_level": "ERROR", "host": "::1"}.items():
        (mounted / name).write_text(level)
    Path(".env").write_text("PORT=9002\nLOG_LEVEL=WARNING\n")
    monkeypatch.setenv("PORT", "9003")

    settings = Settings.for_schema()

    assert settings.port == 9003
    assert settings.log_level == "WARNING"
    assert settings.host == "::1"


@pytest.mark.parametrize("exists", [True, False])
def test_default_directory_is_read_if_it_exists(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, exists: bool
) -> None:
    default = tmp_path / "default"
    if exists:
        default.mkdir()
        (default / "port").write_text("9001")
    monkeypatch.setattr(secret_files, "DEFAULT_DIRECTORY", default)

    assert Settings.for_schema().port == (9001 if exists else 8000)


def test_missing_directory_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "nowhere"))

    with pytest.raises(SettingsError, match="SECRETS_DIR: there is no such directory"):
        Settings.load()


def test_unreadable_file_is_an_error_without_its_content(
    mounted: Path,
) -> None:
    (mounted / "log_level").write_bytes(b"hunter2\xff")

    with pytest.raises(SettingsError, match=r"log_level.*UnicodeDecodeError") as caught:
        Settings.load()

    assert "hunter2" not in str(caught.value)
