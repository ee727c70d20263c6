"""If-Match: a route changes a record only while it has the version the client read."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Header
from pydantic.json_schema import SkipJsonSchema

from ..http.endpoints import wraps_endpoint
from ..http.etag import parse_entity_tags
from ..http.problems import problem_responses
from .versions import ExpectedVersion, VersionedRecord

Result = TypeVar("Result")


async def get_expected_version(
    if_match: Annotated[
        list[str] | SkipJsonSchema[None],
        Header(
            alias="If-Match",
            description="Change the record only if this `ETag` is the current one.",
        ),
    ] = None,
    if_none_match: Annotated[
        list[str] | SkipJsonSchema[None], Header(include_in_schema=False)
    ] = None,
) -> ExpectedVersion:
    """Read the versions that the client allows this request to change."""
    one_of: frozenset[str] | None = None
    none_of: frozenset[str] = frozenset()
    if if_match is not None:
        tags = parse_entity_tags("If-Match", if_match)
        # Strong comparison: a weak tag, W/"1", never equals a version's.
        one_of = None if tags is None else frozenset(tags)
    if if_none_match is not None:
        tags = parse_entity_tags("If-None-Match", if_none_match)
        if tags is None:
            one_of = frozenset()
        else:
            none_of = frozenset(tag.removeprefix("W/") for tag in tags)
    return ExpectedVersion(one_of, none_of)


def if_match(
    get_record: Callable[..., Awaitable[VersionedRecord]],
) -> Callable[[Callable[..., Awaitable[Result]]], Callable[..., Awaitable[Result]]]:
    """Refuse a write with 412 unless ``If-Match`` names the current version.

    The check compares with the record as this request reads it. A change that another
    request commits after that is found by the version column, see ``conflicts.py``.

    Args:
        get_record: The dependency that returns the record which the path names.
    """

    async def check_version(
        expected: Annotated[ExpectedVersion, Depends(get_expected_version)],
        record: Annotated[VersionedRecord, Depends(get_record)],
    ) -> None:
        expected.check(record.version)

    def decorate(
        endpoint: Callable[..., Awaitable[Result]],
    ) -> Callable[..., Awaitable[Result]]:
        @wraps_endpoint(endpoint)
        async def write(
            *,
            version_check: Annotated[None, Depends(check_version)],
            **arguments: object,
        ) -> Result:
            return await endpoint(**arguments)

        return write

    return decorate


IF_MATCH_FAILED = problem_responses(412)
