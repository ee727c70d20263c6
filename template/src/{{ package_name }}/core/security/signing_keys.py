"""Which keys are good enough to sign with."""

import re
from typing import Annotated

from pydantic import AfterValidator, SecretStr

MIN_SECRET_BYTES = 32
"""As many bytes as HMAC with SHA-256 gives out (RFC 7518, section 3.2)."""

MIN_DIFFERENT_CHARACTERS = 8
"""A random key has more, even if it is written in hexadecimal digits."""

DEVELOPMENT_PREFIX = "development-"
"""Marks a key that was made on a developer's machine, wherever it is copied to."""

PLACEHOLDERS = (
    "09d25e094faa6ca2556c8181",
    "1234567890",
    "abcdefghij",
    "bitsecret",
    "changeit",
    "changeme",
    "changethis",
    "default",
    "development",
    "donotuse",
    "example",
    "insecure",
    "jwtsecret",
    "mysecret",
    "password",
    "placeholder",
    "qwerty",
    "replaceme",
    "replacethis",
    "secretkey",
    "secretsecret",
    "stringsecret",
    "supersecret",
    "testsecret",
    "topsecret",
    "yourkey",
    "yoursecret",
)
"""What tutorials and examples put where a key belongs; no random key contains it."""


def _refuse_short_key(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value().encode()) < MIN_SECRET_BYTES:
        message = f"must have at least {MIN_SECRET_BYTES} bytes"
        raise ValueError(message)
    return key


SigningKey = Annotated[SecretStr, AfterValidator(_refuse_short_key)]
"""A key that is long enough not to be guessed."""


def weakness(key: SecretStr) -> str | None:
    """Say why a key must not sign in production, or ``None``; never quote it."""
    text = key.get_secret_value()
    letters = re.sub(r"[^a-z0-9]", "", text.lower())
    if any(words in letters for words in PLACEHOLDERS):
        return "is a placeholder or a key of a developer's machine"
    # A text that is its own part, repeated, is found in its double before its end.
    if len(set(text)) < MIN_DIFFERENT_CHARACTERS or text in (text + text)[1:-1]:
        return "repeats itself"
    return None
