"""Versions: what keeps one change from overwriting another unseen."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from ..errors import PreconditionFailedError


class VersionedRecord(Protocol):
    """A record that counts its changes."""

    @property
    def id(self) -> UUID:
        """What the record is known by."""

    @property
    def version(self) -> int:
        """How often it was stored, counted from 1."""


@dataclass(frozen=True)
class ExpectedVersion:
    """Which versions of a record a caller is ready to change; by default any."""

    one_of: frozenset[int] | None = None
    none_of: frozenset[int] = frozenset()

    def check(self, version: int) -> None:
        """Compare with the version that there is.

        Raises:
            PreconditionFailedError: the caller would change what it has not seen.
        """
        is_expected = self.one_of is None or version in self.one_of
        if not is_expected or version in self.none_of:
            message = "It has changed since you read it: read it again first."
            raise PreconditionFailedError(message)


ANY_VERSION = ExpectedVersion()
