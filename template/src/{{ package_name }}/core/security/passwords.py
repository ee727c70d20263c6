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


PARALLELISM = 4
"""As in RFC 9106, section 4."""


class Passwords:
    """Hashes and checks passwords, at the cost in the settings."""

    def __init__(self, settings: SecuritySettings) -> None:
        memory = settings.password_hash_memory_kib
        rounds = settings.password_hash_rounds
        argon2 = Argon2Hasher(
            memory_cost=memory, time_cost=rounds, parallelism=PARALLELISM
        )
        self._hasher = PasswordHash([argon2])
        self._limiter = CapacityLimiter(MAX_AT_ONCE)
        # For users that do not exist: a hash of no password, which costs as much to
        # check. The salt and the digest are 16 and 32 zero bytes, in base64.
        cost = f"m={memory},t={rounds},p={PARALLELISM}"
        self._dummy_hash = f"$argon2id$v=19${cost}${22 * 'A'}${43 * 'A'}"

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
