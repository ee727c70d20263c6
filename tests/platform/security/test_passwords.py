"""Password hashes."""

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from order_service.core.security.passwords import Passwords
from order_service.settings import Settings

CHEAP = {"password_hash_memory_kib": 32, "password_hash_rounds": 1}


@pytest.fixture
def passwords() -> Passwords:
    """Return a hasher that is cheap."""
    return Passwords(Settings.for_schema().model_copy(update=CHEAP))


async def test_correct_password_matches(passwords: Passwords) -> None:
    stored = await passwords.hash("a long and quiet river")

    assert stored.startswith("$argon2id$")
    assert await passwords.verify("a long and quiet river", stored) == (True, None)
    assert await passwords.verify("a long and quiet riveR", stored) == (False, None)


async def test_same_password_never_has_the_same_hash(passwords: Passwords) -> None:
    assert await passwords.hash("same") != await passwords.hash("same")


async def test_hash_with_another_cost_is_rehashed(passwords: Passwords) -> None:
    stored = await passwords.hash("same")
    costlier = Passwords(
        Settings.for_schema().model_copy(update=CHEAP | {"password_hash_rounds": 2})
    )

    is_right, renewed = await costlier.verify("same", stored)

    assert is_right
    assert renewed is not None
    assert await costlier.verify("same", renewed) == (True, None)


@pytest.mark.parametrize("stored", [None, "", "not a hash"])
async def test_missing_or_invalid_hash_never_matches(
    passwords: Passwords, stored: str | None
) -> None:
    assert await passwords.verify("some password", stored) == (False, None)


async def test_a_missing_hash_costs_as_much_to_check_as_a_stored_one(
    passwords: Passwords,
) -> None:
    stored = await passwords.hash("a long and quiet river")
    dummy = passwords._dummy_hash  # noqa: SLF001 - nothing else shows what is checked.

    # The same algorithm with the same parameters, on a salt and a digest of the same size.
    *cost, salt, digest = stored.split("$")
    assert dummy.split("$")[:-2] == cost
    assert [len(part) for part in dummy.split("$")[-2:]] == [len(salt), len(digest)]
    # Another error would mean that it was refused before anything was computed.
    with pytest.raises(VerifyMismatchError):
        PasswordHasher().verify(dummy, "a long and quiet river")
