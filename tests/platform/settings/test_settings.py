"""The settings are checked before the service starts."""

from pathlib import Path

import pytest

from order_service.core.configuration import SettingsError
from order_service.settings import Settings

from ..service import ANSWERS, DIRECTORY, has

DATABASE_URLS = {
    "postgresql": "postgresql://user:hunter2@localhost/orders",
    "sqlite": "sqlite:///orders.db",
}
VALID: dict[str, str] = {
    **({"DATABASE_URL": DATABASE_URLS[ANSWERS["database"]]} if has("database") else {}),
    **({"REDIS_URL": "redis://:hunter2@localhost:6379/0"} if has("redis") else {}),
    **({"JWT_SECRET": "hunter2, and then some more bytes"} if has("auth") else {}),
}
"""What a service requires."""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, content in VALID.items():
        monkeypatch.setenv(name, content)
    # No secret that is mounted on this machine is read.
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_production_is_the_default() -> None:
    settings = Settings.load()

    assert settings.is_production
    assert settings.cors_origins == []


def test_settings_are_frozen() -> None:
    settings = Settings.load()

    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "api.example.com, 10.0.0.1 ,")

    assert Settings.load().allowed_hosts == ["api.example.com", "10.0.0.1"]


def test_every_problem_is_reported_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "hunter2")
    monkeypatch.setenv("LOG_LEVEL", "hunter2")

    with pytest.raises(SettingsError) as caught:
        Settings.load()

    assert len(caught.value.problems) == 2
    assert "PORT: " in str(caught.value)
    assert "LOG_LEVEL: " in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.missing == frozenset()


@pytest.mark.needs("jobs")
def test_more_jobs_than_connections_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "3")
    monkeypatch.setenv("DATABASE_MAX_OVERFLOW", "2")
    # One connection is for the messages that are published meanwhile.
    monkeypatch.setenv("JOBS_CONCURRENCY", "4")
    assert Settings.load().jobs_concurrency == 4

    monkeypatch.setenv("JOBS_CONCURRENCY", "5")
    with pytest.raises(SettingsError, match="less than the 5 connections"):
        Settings.load()


def test_cors_credentials_for_every_origin_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "*")
    monkeypatch.setenv("CORS_ALLOW_CREDENTIALS", "true")

    with pytest.raises(SettingsError, match="name the origins"):
        Settings.load()


@pytest.mark.parametrize(
    ("environment", "is_read"),
    [(None, False), ("production", False), ("development", True)],
)
def test_env_file_is_for_development(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    environment: str | None,
    *,
    is_read: bool,
) -> None:
    (tmp_path / ".env").write_text("PORT=9000\n")
    if environment is not None:
        monkeypatch.setenv("ENVIRONMENT", environment)

    assert (Settings.load().port == 9000) is is_read


def test_example_file_names_every_setting() -> None:
    example = (DIRECTORY / ".env.example").read_text("utf-8")

    for name in Settings.model_fields:
        assert f"{name.upper()}=" in example


@pytest.mark.needs("rate_limits")
@pytest.mark.parametrize("rate", ["", "often", "0/minute", "5/fortnight", "-1/minute"])
def test_invalid_rate_is_refused(monkeypatch: pytest.MonkeyPatch, rate: str) -> None:
    monkeypatch.setenv("RATE_LIMIT_DEFAULT", rate)

    with pytest.raises(SettingsError, match="RATE_LIMIT_DEFAULT: must be a number"):
        Settings.load()


def test_no_proxy_is_trusted_by_default() -> None:
    assert Settings.load().forwarded_allow_ips == ""


@pytest.mark.needs("redis")
@pytest.mark.parametrize("url", ["hunter2", "http://:hunter2@localhost", ""])
def test_invalid_redis_url_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)

    with pytest.raises(SettingsError, match="REDIS_URL: must start with") as caught:
        Settings.load()

    assert "hunter2" not in str(caught.value)


def test_missing_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: frozenset[str] = frozenset()
    for name in VALID:
        monkeypatch.delenv(name)

    try:
        Settings.load()
    except SettingsError as error:
        missing = error.missing

    assert missing == set(VALID)


def test_secrets_are_read_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, content in VALID.items():
        monkeypatch.delenv(name)
        (tmp_path / name.lower()).write_text(f"{content}\n")

    assert Settings.load().is_production


def test_secrets_are_masked() -> None:
    settings = Settings.load()

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())


@pytest.mark.needs("database")
@pytest.mark.parametrize(
    "url", ["hunter2", "mysql://user:hunter2@localhost/orders", "", "sqlite://"]
)
def test_invalid_database_url_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(SettingsError, match="DATABASE_URL: must") as caught:
        Settings.load()

    assert "hunter2" not in str(caught.value)


@pytest.mark.needs("auth")
def test_short_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "hunter2")

    with pytest.raises(SettingsError, match="JWT_SECRET: must have at least 32 bytes"):
        Settings.load()


@pytest.mark.needs("auth")
@pytest.mark.parametrize("name", ["JWT_SECRET", "JWT_SECRET_PREVIOUS"])
@pytest.mark.parametrize("key", ["changeme, and hunter2, and some more", "x" * 64])
def test_weak_keys_are_refused_in_production(
    monkeypatch: pytest.MonkeyPatch, name: str, key: str
) -> None:
    monkeypatch.setenv(name, key.replace(",", ""))

    with pytest.raises(SettingsError, match=rf"{name} .*: make a random one") as caught:
        Settings.load()

    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("ENVIRONMENT", "test")
    Settings.load()


@pytest.mark.needs("auth")
def test_short_previous_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = f"{VALID['JWT_SECRET'].replace(',', '')},hunter2"
    monkeypatch.setenv("JWT_SECRET_PREVIOUS", earlier)

    with pytest.raises(SettingsError, match=r"JWT_SECRET_PREVIOUS\.1: must") as caught:
        Settings.load()

    assert "hunter2" not in str(caught.value)


@pytest.mark.needs("auth")
@pytest.mark.parametrize(
    ("name", "content"),
    [("PASSWORD_HASH_MEMORY_KIB", "1024"), ("PASSWORD_HASH_ROUNDS", "1")],
)
def test_cheap_hashes_are_refused_in_production(
    monkeypatch: pytest.MonkeyPatch, name: str, content: str
) -> None:
    monkeypatch.setenv(name, content)

    with pytest.raises(SettingsError, match=f"{name} (must be )?at least"):
        Settings.load()

    monkeypatch.setenv("ENVIRONMENT", "test")
    Settings.load()
