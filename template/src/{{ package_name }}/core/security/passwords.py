"""Password hashes: Argon2id, made in a thread because it takes long on purpose."""

from functools import partial

import anyio
from anyio import CapacityLimiter
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from ..settings import ServiceSettings

MAX_AT_ONCE = 4
"""Each hash takes the memory that the settings say; this bounds the sum."""


class Passwords:
    """Hashes passwords and checks them, at the cost that the settings ask for."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Prepare the hasher, and a hash to check when there is no user."""
        self._hasher = PasswordHash(
            (
                Argon2Hasher(
                    memory_cost=settings.password_hash_memory_kib,
                    time_cost=settings.password_hash_rounds,
                ),
            )
        )
        self._limiter = CapacityLimiter(MAX_AT_ONCE)
        self._hash_of_nobody = self._hasher.hash("the password of nobody")

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
            Whether the password is right, and a new hash to store when the stored
            one was made at another cost than today's.
        """
        check = partial(self._check, password, stored or self._hash_of_nobody)
        is_right, renewed = await anyio.to_thread.run_sync(check, limiter=self._limiter)
        return is_right and bool(stored), renewed if stored else None

    def _check(self, password: str, stored: str) -> tuple[bool, str | None]:
        try:
            return self._hasher.verify_and_update(password, stored)
        except UnknownHashError:
            return False, None
