"""Pages by keyset: each one starts after the last row of the one before.

Unlike an offset, a keyset neither skips nor repeats a row when others are added
while somebody turns the pages, and the last page costs no more than the first.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Generic, Self, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from ..errors import InvalidRequestError

MAX_LIMIT = 100

Row = TypeVar("Row")


class Page(BaseModel, Generic[Row]):
    """Some of a list, and where the next ones start."""

    items: list[Row]
    limit: int = Field(description="How many were asked for.")
    next_cursor: str | None = Field(
        description="Pass it as `cursor` to read on; null on the last page."
    )


@dataclass(frozen=True)
class Cursor:
    """The last row of a page: when it was created and, among equals, which one."""

    created_at: datetime
    id: UUID

    def encode(self) -> str:
        """Write the cursor so that it fits into a URL."""
        text = json.dumps([self.created_at.isoformat(), str(self.id)])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read a cursor back.

        Raises:
            InvalidRequestError: the text did not come from :meth:`encode`.
        """
        try:
            padded = text + "=" * (-len(text) % 4)
            document = base64.b64decode(padded, altchars=b"-_", validate=True)
            created_at, row_id = json.loads(document)
            moment = datetime.fromisoformat(created_at)
            cursor = cls(moment, UUID(row_id))
        except (binascii.Error, ValueError, TypeError, AttributeError) as error:
            message = "The cursor is not one that this service gave out."
            raise InvalidRequestError(message) from error
        if moment.tzinfo is None:
            message = "The cursor is not one that this service gave out."
            raise InvalidRequestError(message)
        return cursor


@dataclass(frozen=True)
class PageRequest:
    """Which page a caller wants."""

    limit: int
    after: Cursor | None

    def cut(
        self, rows: Sequence[Row], cursor_of: Callable[[Row], Cursor]
    ) -> tuple[list[Row], str | None]:
        """Cut the page out of ``limit + 1`` rows; the extra one says there is more."""
        shown = list(rows[: self.limit])
        if len(rows) <= self.limit:
            return shown, None
        return shown, cursor_of(shown[-1]).encode()


async def get_page_request(
    limit: Annotated[
        int, Query(ge=1, le=MAX_LIMIT, description="How many to return.")
    ] = 20,
    cursor: Annotated[
        str | None,
        Query(max_length=200, description="`next_cursor` of the page before."),
    ] = None,
) -> PageRequest:
    """Read the page a caller wants from the query string."""
    return PageRequest(limit, None if cursor is None else Cursor.decode(cursor))


PageRequestDep = Annotated[PageRequest, Depends(get_page_request)]
