"""Versions over HTTP: entity tags and conditional requests (RFC 9110, section 13)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Response
from pydantic.json_schema import SkipJsonSchema

from ..errors import InvalidRequestError
from .problems import problem_responses
from .versions import ExpectedVersion, VersionedRecord

Record = TypeVar("Record", bound=VersionedRecord)

_TAG = r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"'
ENTITY_TAG = re.compile(_TAG)
ENTITY_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
"""A list as RFC 9110, section 5.6.1, has it: empty members do not count."""

VERSION = re.compile(r"[1-9][0-9]{0,17}")
"""What our own tags hold; any other tag names a version that there never was."""

READ_HEADERS = {
    # Nobody but the reader may keep it, and only to ask each time if it still holds.
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization",
}


def entity_tag(version: int) -> str:
    """Write a version as a strong entity tag."""
    return f'"{version}"'


def parse_versions(
    name: str, lines: Sequence[str], *, is_strong: bool
) -> frozenset[int] | None:
    """Read the versions that a conditional header names.

    Args:
        name: The header's name, for the refusal.
        lines: Its lines, which together are one list.
        is_strong: Whether weak tags match nothing (``If-Match``) or match as strong
            ones do (``If-None-Match``).

    Returns:
        The versions; ``None`` stands for ``*``, which names every version.

    Raises:
        InvalidRequestError: the header is neither ``*`` nor a list of entity tags.
            To ignore it would be to overwrite what its sender wants to keep.
    """
    text = ",".join(lines).strip(" \t")
    if text == "*":
        return None
    if not ENTITY_TAGS.fullmatch(text):
        message = f'{name} must be * or a list of entity tags, such as "1".'
        raise InvalidRequestError(message)
    return frozenset(
        int(opaque)
        for weakness, opaque in ENTITY_TAG.findall(text)
        if VERSION.fullmatch(opaque) and not (weakness and is_strong)
    )


async def get_expected_version(
    if_match: Annotated[
        list[str] | SkipJsonSchema[None],
        Header(
            alias="If-Match",
            description="Go on only if this `ETag` is still the present one.",
        ),
    ] = None,
    if_none_match: Annotated[
        list[str] | SkipJsonSchema[None], Header(include_in_schema=False)
    ] = None,
) -> ExpectedVersion:
    """Read which versions a caller is ready to change."""
    one_of: frozenset[int] | None = None
    none_of: frozenset[int] = frozenset()
    if if_match is not None:
        one_of = parse_versions("If-Match", if_match, is_strong=True)
    if if_none_match is not None:
        unwanted = parse_versions("If-None-Match", if_none_match, is_strong=False)
        if unwanted is None:
            one_of = frozenset()
        else:
            none_of = unwanted
    return ExpectedVersion(one_of, none_of)


@dataclass(frozen=True)
class Change:
    """A request to change a record, and the answer to it."""

    expected: ExpectedVersion
    response: Response

    def answer(self, record: Record) -> Record:
        """Show the record as it is now, under its new tag."""
        self.response.headers["ETag"] = entity_tag(record.version)
        return record


@dataclass(frozen=True)
class Reading:
    """A request to see a record, of which the caller may have a copy."""

    seen: frozenset[int] | None
    response: Response

    def answer(self, record: Record) -> Record | Response:
        """Show the record, or say that the caller's copy still holds."""
        headers = READ_HEADERS | {"ETag": entity_tag(record.version)}
        if self.seen is None or record.version in self.seen:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        self.response.headers.update(headers)
        return record


async def get_change(
    expected: Annotated[ExpectedVersion, Depends(get_expected_version)],
    response: Response,
) -> Change:
    """Give what a route needs that changes a record."""
    return Change(expected, response)


async def get_reading(
    response: Response,
    if_none_match: Annotated[
        list[str] | SkipJsonSchema[None],
        Header(
            alias="If-None-Match",
            description="Answer 304 if this `ETag` is still the present one.",
        ),
    ] = None,
) -> Reading:
    """Give what a route needs that shows one record."""
    seen: frozenset[int] | None = frozenset()
    if if_none_match is not None:
        seen = parse_versions("If-None-Match", if_none_match, is_strong=False)
    return Reading(seen, response)


ChangeDep = Annotated[Change, Depends(get_change)]
ReadingDep = Annotated[Reading, Depends(get_reading)]

ETAG: dict[str, Any] = {
    "ETag": {
        "description": "The version that this answer shows.",
        "schema": {"type": "string", "examples": ['"1"']},
    }
}
ON_READ: dict[int | str, dict[str, Any]] = {
    200: {"headers": ETAG},
    304: {"description": "Not modified", "headers": ETAG},
    **problem_responses(404),
}
ON_CHANGE: dict[int | str, dict[str, Any]] = {
    200: {"headers": ETAG},
    **problem_responses(404, 409, 412),
}
ON_DELETE = problem_responses(404, 409, 412)
