"""Weak signing keys are refused."""

import secrets
from collections.abc import Callable

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from order_service.core.security.signing_keys import SigningKey, weakness
from order_service_dev.secret import local_secret


@pytest.mark.parametrize(
    "key",
    [
        "changeme-changeme-changeme-changeme",
        "Change_Me: please, before you go live",
        "CHANGE THIS to a long random secret!",
        "your-256-bit-secret-your-256-bit-secret",
        "a-string-secret-at-least-256-bits-long",
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        "supersecretkey-for-the-order-service",
        "correct horse battery password staple",
        "12345678901234567890123456789012",
        "development-and-then-random-characters",
        "x" * 64,
        "ab" * 32,
        "0123456789abcdef" * 4,
        "Tr0ub4dor&3 " * 3,
    ],
)
def test_weak_key_is_refused_and_not_quoted(key: str) -> None:
    problem = weakness(SecretStr(key))

    assert problem is not None
    assert key not in problem


@pytest.mark.parametrize("make_key", [secrets.token_hex, secrets.token_urlsafe])
def test_random_keys_are_accepted(make_key: Callable[[int], str]) -> None:
    for _ in range(1000):
        assert weakness(SecretStr(make_key(32))) is None


def test_development_key_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("checkout"))

    assert weakness(SecretStr(local_secret())) is not None


def test_key_of_31_bytes_is_too_short() -> None:
    keys = TypeAdapter[SecretStr](SigningKey)

    assert keys.validate_python("é" * 16).get_secret_value() == "é" * 16
    with pytest.raises(ValidationError, match="at least 32 bytes"):
        keys.validate_python("é" * 15 + "e")
