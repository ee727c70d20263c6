"""Access tokens."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from pydantic import SecretStr

from order_service.core.errors import AuthenticationError
from order_service.core.security.tokens import (
    REQUIRED_CLAIMS,
    AccessClaims,
    AccessTokens,
)
from order_service.settings import Settings

SETTINGS = Settings.for_schema().model_copy(
    # Long enough for the algorithms that must be refused, too.
    update={"jwt_secret": SecretStr("0123456789abcdef" * 4)}
)
SECRET = SETTINGS.jwt_secret.get_secret_value()
USER_ID = uuid4()


@pytest.fixture
def tokens() -> AccessTokens:
    """Return an issuer of tokens."""
    return AccessTokens(SETTINGS)


def signed(
    changes: dict[str, Any] | None = None,
    without: str = "",
    key: str = SECRET,
    algorithm: str = "HS256",
) -> str:
    """Sign a token that is valid except for the given changes."""
    now = datetime.now(UTC)
    claims: dict[str, Any] = {
        "iss": SETTINGS.jwt_issuer,
        "aud": SETTINGS.jwt_audience,
        "sub": str(USER_ID),
        "jti": uuid4().hex,
        "typ": "access",
        "ver": 1,
        "iat": now,
        "exp": now + timedelta(minutes=1),
    }
    claims |= changes or {}
    claims.pop(without, None)
    return jwt.encode(claims, key, algorithm=algorithm)


def whose(claims: AccessClaims) -> tuple[UUID, int]:
    """Return what names the user and their credentials."""
    return claims.user_id, claims.credentials_version


def test_issued_token_is_read_back(tokens: AccessTokens) -> None:
    token = tokens.issue(USER_ID, 3)

    assert whose(tokens.read(token)) == (USER_ID, 3)


def test_tokens_are_unique(tokens: AccessTokens) -> None:
    assert tokens.issue(USER_ID, 1) != tokens.issue(USER_ID, 1)


def test_token_signed_by_these_tests_is_valid(tokens: AccessTokens) -> None:
    assert whose(tokens.read(signed())) == (USER_ID, 1)


@pytest.mark.parametrize("claim", REQUIRED_CLAIMS)
def test_every_claim_is_required(tokens: AccessTokens, claim: str) -> None:
    with pytest.raises(AuthenticationError):
        tokens.read(signed(without=claim))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "another service"},
        {"aud": "another service"},
        {"typ": "refresh"},
        {"sub": "not a uuid"},
        {"ver": "one"},
        {"exp": datetime.now(UTC) - timedelta(minutes=1)},
        {"iat": datetime.now(UTC) + timedelta(hours=1)},
        {"nbf": datetime.now(UTC) + timedelta(hours=1)},
    ],
)
def test_wrong_claims_are_refused(tokens: AccessTokens, changes: dict[str, Any]) -> None:
    with pytest.raises(AuthenticationError):
        tokens.read(signed(changes))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        signed(key="another key of thirty-two bytes, or more"),
        signed(algorithm="HS384"),
        signed(key="", algorithm="none"),
        signed()[:-2],
    ],
)
def test_forged_tokens_are_refused(tokens: AccessTokens, token: str) -> None:
    with pytest.raises(AuthenticationError):
        tokens.read(token)


def test_keys_rotate() -> None:
    first, second, third = (SecretStr(digit * 32) for digit in "123")
    rotated = SETTINGS.model_copy(
        update={"jwt_secret": third, "jwt_secret_previous": [second, first]}
    )
    old = AccessTokens(SETTINGS.model_copy(update={"jwt_secret": first}))
    new = AccessTokens(rotated)
    done = AccessTokens(rotated.model_copy(update={"jwt_secret_previous": []}))

    assert whose(new.read(old.issue(USER_ID, 1))) == (USER_ID, 1)
    assert whose(done.read(new.issue(USER_ID, 1))) == (USER_ID, 1)
    with pytest.raises(AuthenticationError):
        done.read(old.issue(USER_ID, 1))
    with pytest.raises(AuthenticationError):
        old.read(new.issue(USER_ID, 1))


@pytest.mark.parametrize("changes", [{"aud": "another service"}, {"sub": "not a uuid"}])
def test_token_of_an_earlier_key_is_checked_as_well(changes: dict[str, Any]) -> None:
    earlier = "an earlier key of thirty-two bytes"
    tokens = AccessTokens(SETTINGS.model_copy(update={"jwt_secret_previous": [SecretStr(earlier)]}))

    assert whose(tokens.read(signed(key=earlier))) == (USER_ID, 1)
    with pytest.raises(AuthenticationError):
        tokens.read(signed(changes, key=earlier))
