"""The answer to every creation: what was made, where it is and its version."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response

from .preconditions import ETAG, entity_tag
from .schemas import RecordSchema
from .versions import VersionedRecord


class Creation:
    """A request to make a record, and the answer to it."""

    def __init__(self, request: Request) -> None:
        """Take the request: what it makes will live one level below its path."""
        self._request = request

    async def run(
        self,
        make: Callable[[], Awaitable[VersionedRecord]],
        schema: type[RecordSchema],
    ) -> Response:
        """Make the record and show it.

        Args:
            make: Makes it.
            schema: How it is shown.
        """
        record = await make()
        return Response(
            schema.model_validate(record).model_dump_json(),
            status_code=HTTPStatus.CREATED,
            headers={
                # A path and no more: the Host header is the caller's to choose.
                "Location": f"{self._request.url.path}/{record.id}",
                "ETag": entity_tag(record.version),
            },
            media_type="application/json",
        )


LOCATION: dict[str, Any] = {
    "Location": {
        "description": "Where the new one is.",
        "schema": {"type": "string", "format": "uri-reference"},
    }
}
ON_CREATE: dict[int | str, dict[str, Any]] = {201: {"headers": {**LOCATION, **ETAG}}}
