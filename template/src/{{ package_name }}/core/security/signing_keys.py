"""The requirements for keys that sign tokens."""

from typing import Annotated

from pydantic import AfterValidator, SecretStr

MIN_SECRET_BYTES = 32
"""The output size of HMAC with SHA-256 (RFC 7518, section 3.2)."""

MIN_DIFFERENT_CHARACTERS = 8
"""A random key has more, even if it is written in hexadecimal digits."""

DEVELOPMENT_PREFIX = "development-"
"""The beginning of a key that was made on a developer's machine."""

PLACEHOLDERS = (
    "09d25e094faa6ca2556c8181",  # the key in FastAPI's own tutorial
    "1234567890",
    "changeme",
    "changethis",
    "development",
    "example",
    "password",
    "replace",
    "secret",
)
"""Parts of the keys in examples; a random key practically never contains one."""


def _refuse_short_key(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value().encode()) < MIN_SECRET_BYTES:
        message = f"must have at least {MIN_SECRET_BYTES} bytes"
        raise ValueError(message)
    return key


SigningKey = Annotated[SecretStr, AfterValidator(_refuse_short_key)]
"""A key that is too long to be guessed."""


def weakness(key: SecretStr) -> str | None:
    """Return why a key must not sign in production, without the key, or ``None``."""
    text = key.get_secret_value()
    letters = "".join(filter(str.isalnum, text.lower()))
    if any(placeholder in letters for placeholder in PLACEHOLDERS):
        return "is a placeholder or a key of a developer's machine"
    # A text that repeats one of its parts occurs in its double before the middle.
    if len(set(text)) < MIN_DIFFERENT_CHARACTERS or text in (text + text)[1:-1]:
        return "repeats itself"
    return None
