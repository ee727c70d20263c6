"""A signing key of a developer's own, so that a restart signs nobody out."""

import secrets
from pathlib import Path

from .signing_keys import DEVELOPMENT_PREFIX

SECRET_FILE = Path(".local/jwt-secret")
"""Kept in the checkout, where git ignores it."""


def local_secret() -> str:
    """Give the key of this checkout; the first call makes it."""
    SECRET_FILE.parent.mkdir(exist_ok=True)
    if not SECRET_FILE.exists():
        SECRET_FILE.touch(mode=0o600)
        SECRET_FILE.write_text(DEVELOPMENT_PREFIX + secrets.token_urlsafe(32))
    return SECRET_FILE.read_text()
