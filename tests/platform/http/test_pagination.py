"""Cursors and pages."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from order_service.core.errors import InvalidRequestError
from order_service.core.http.pagination import Cursor, PageRequest
from order_service.core.http.schemas import ResponseSchema

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def test_cursor_is_url_safe_and_decodes_to_itself() -> None:
    cursor = Cursor(MOMENT, uuid4())

    text = cursor.encode()

    assert Cursor.decode(text) == cursor
    assert set(text) < set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        "not base64!",
        "bnVsbA",  # null
        "W10",  # []
        "WzEsIDJd",  # [1, 2]
        "WyJ4IiwgIngiXQ",  # ["x", "x"]
        "8J-Ygg",  # an emoji
    ],
)
def test_forged_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        Cursor.decode(text)


def test_cursor_without_a_time_zone_is_refused() -> None:
    text = Cursor(MOMENT.replace(tzinfo=None), uuid4()).encode()

    with pytest.raises(InvalidRequestError):
        Cursor.decode(text)


@dataclass
class Row:
    """A row of a table."""

    id: UUID
    created_at: datetime = MOMENT


class RowRead(ResponseSchema):
    """A row in a response."""

    id: UUID


@pytest.mark.parametrize(("count", "has_more"), [(0, False), (2, False), (3, True)])
def test_extra_row_yields_a_next_cursor(count: int, *, has_more: bool) -> None:
    rows = [Row(UUID(int=number)) for number in range(count)]

    page = PageRequest(2, None).respond(rows, RowRead)

    assert [row.id for row in page.items] == [row.id for row in rows[:2]]
    if has_more:
        assert page.next_cursor is not None
        assert Cursor.decode(page.next_cursor).id == rows[1].id
    else:
        assert page.next_cursor is None
