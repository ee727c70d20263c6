"""Parsing of conditional headers."""

import pytest

from order_service.core.errors import InvalidRequestError
from order_service.core.http.etag import parse_entity_tags


@pytest.mark.parametrize(
    ("lines", "tags"),
    [
        (['"1"'], ['"1"']),
        ([' "1"\t'], ['"1"']),
        (['"1", "2"'], ['"1"', '"2"']),
        (['"1","2"'], ['"1"', '"2"']),
        (['"1"', '"2"'], ['"1"', '"2"']),
        ([', ,"1" ,\t"2",,'], ['"1"', '"2"']),
        (['"1,2"'], ['"1,2"']),
        (['"a,b", W/"3"'], ['"a,b"', 'W/"3"']),
        (['""'], ['""']),
        (['"1"' + ", " * 20_000], ['"1"']),
    ],
)
def test_list_of_tags_is_parsed(lines: list[str], tags: list[str]) -> None:
    assert parse_entity_tags("If-Match", lines) == tags


@pytest.mark.parametrize("lines", [["*"], [" *\t"]])
def test_asterisk_matches_every_tag(lines: list[str]) -> None:
    assert parse_entity_tags("If-Match", lines) is None


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        [","],
        ["1"],
        ['"1'],
        ['1"'],
        ['"1""2"'],
        ['"1" "2"'],
        ['"a b"'],
        ["'1'"],
        ['w/"1"'],
        ['W"1"'],
        ['W/ "1"'],
        ["**"],
        ['*, "1"'],
        ["*", "*"],
        ['"\x00"'],
        ['"\x7f"'],
        ['"1"\n'],
        ['"€"'],
        ["," * 20_000 + "x"],
        ['"1",' * 5_000 + "x"],
    ],
)
def test_malformed_header_is_refused(lines: list[str]) -> None:
    with pytest.raises(InvalidRequestError, match="If-Match must be"):
        parse_entity_tags("If-Match", lines)
