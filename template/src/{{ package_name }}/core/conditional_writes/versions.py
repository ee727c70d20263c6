"""Record versions: prevent a client from overwriting a change it has not read."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from pydantic import Field

from ..errors import ServiceError
from ..http.schemas import RecordSchema


class PreconditionFailedError(ServiceError):
    """The client has not read the version that it would change."""

    code = "precondition_failed"
    http_status = HTTPStatus.PRECONDITION_FAILED


class VersionedRecord(Protocol):
    """A record that counts its changes."""

    @property
    def version(self) -> int:
        """How often the record was stored, counted from 1."""


class VersionedSchema(RecordSchema):
    """A response body that shows a record with its version."""

    version: int = Field(description="Its `ETag` without the quotes.", examples=[1])

    def entity_tag(self) -> str:
        """Return the version as the tag, so that ``If-Match`` can name it."""
        return version_tag(self.version)


@dataclass(frozen=True)
class ExpectedVersion:
    """The tags that a client allows the current version to have; by default any."""

    one_of: frozenset[str] | None = None
    none_of: frozenset[str] = frozenset()

    def check(self, version: int) -> None:
        """Compare with the current version.

        Raises:
            PreconditionFailedError: the client has not read the current version.
        """
        tag = version_tag(version)
        is_expected = self.one_of is None or tag in self.one_of
        if not is_expected or tag in self.none_of:
            message = "It has changed since you read it: read it again first."
            raise PreconditionFailedError(message)


def version_tag(version: int) -> str:
    """Return a version as a strong entity tag."""
    return f'"{version}"'
