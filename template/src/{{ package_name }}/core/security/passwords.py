"""Password hashes: Argon2id, in a thread because hashing is slow by design."""

from functools import partial

import anyio
from anyio import CapacityLimiter
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from .settings import SecuritySettings

MAX_AT_ONCE = 4
"""The number of hashes at a time: each one takes the memory that the settings state."""


class Passwords:
    """Hashes and checks passwords, at the cost in the settings."""

    def __init__(self, settings: SecuritySettings) -> None:
        """Make a dummy hash for users that do not exist."""
        argon2 = Argon2Hasher(
            memory_cost=settings.password_hash_memory_kib,
            time_cost=settings.password_hash_rounds,
        )
        self._hasher = PasswordHash([argon2])
        self._limiter = CapacityLimiter(MAX_AT_ONCE)
        self._dummy_hash = self._hasher.hash("a password that no user has")

    async def hash(self, password: str) -> str:
        """Hash a password for storage."""
        return await anyio.to_thread.run_sync(
            partial(self._hasher.hash, password), limiter=self._limiter
        )

    async def verify(
        self, password: str, stored: str | None
    ) -> tuple[bool, str | None]:
        """Check a password, in the same time whether there is a stored hash or not.

        Returns:
            Whether the password is right, and a new hash to store if the settings have
            changed since the stored one was made.
        """
        check = partial(self._check, password, stored or self._dummy_hash)
        is_right, renewed = await anyio.to_thread.run_sync(check, limiter=self._limiter)
        return is_right and bool(stored), renewed if stored else None

    def _check(self, password: str, stored: str) -> tuple[bool, str | None]:
        try:
            return self._hasher.verify_and_update(password, stored)
        except UnknownHashError:
            return False, None
