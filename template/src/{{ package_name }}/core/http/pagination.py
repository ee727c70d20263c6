"""Keyset pagination: each page starts after the last row of the previous one.

Unlike an offset, a keyset neither skips nor repeats a row when others are added
between two requests, and the last page costs no more than the first.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Generic, Protocol, Self, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter

from ..errors import InvalidRequestError

MAX_LIMIT = 100
POSITION = TypeAdapter(tuple[AwareDatetime, UUID])

Schema = TypeVar("Schema", bound=BaseModel)


class Row(Protocol):
    """What a list is ordered by."""

    id: UUID
    created_at: datetime


class Page(BaseModel, Generic[Schema]):
    """A part of a list, and the cursor of the next part."""

    items: list[Schema]
    limit: int = Field(description="The requested page size.")
    next_cursor: str | None = Field(
        description="Pass it as `cursor` to read on; null on the last page."
    )


@dataclass(frozen=True)
class Cursor:
    """The position of a page's last row: its time and, among equal ones, its id."""

    created_at: datetime
    id: UUID

    def encode(self) -> str:
        """Encode the cursor for a URL."""
        document = POSITION.dump_json((self.created_at, self.id))
        return base64.urlsafe_b64encode(document).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Self:
        """Decode a cursor; raise InvalidRequestError if it is not from this service."""
        try:
            padded = text + "=" * (-len(text) % 4)
            document = base64.b64decode(padded, altchars=b"-_", validate=True)
            return cls(*POSITION.validate_json(document))
        except ValueError as error:
            message = "The cursor is not a `next_cursor` of this service."
            raise InvalidRequestError(message) from error


@dataclass(frozen=True)
class PageRequest:
    """The page that the client requests."""

    limit: int
    after: Cursor | None

    def respond(self, rows: Sequence[Row], schema: type[Schema]) -> Page[Schema]:
        """Build the response from ``limit + 1`` rows; the extra one shows more follow."""
        shown = rows[: self.limit]
        next_cursor = None
        if len(rows) > self.limit:
            next_cursor = Cursor(shown[-1].created_at, shown[-1].id).encode()
        return Page(
            items=[schema.model_validate(row) for row in shown],
            limit=self.limit,
            next_cursor=next_cursor,
        )


async def get_page_request(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="The page size.")] = 20,
    cursor: Annotated[
        str | None,
        Query(max_length=200, description="`next_cursor` of the previous page."),
    ] = None,
) -> PageRequest:
    """Read the requested page from the query string."""
    return PageRequest(limit, None if cursor is None else Cursor.decode(cursor))


PageRequestDep = Annotated[PageRequest, Depends(get_page_request)]
