"""Comparison of the current version with the expected one."""

import pytest

from order_service.core.conditional_writes.versions import (
    ExpectedVersion,
    PreconditionFailedError,
)


@pytest.mark.parametrize(
    "expected",
    [
        ExpectedVersion(),
        ExpectedVersion(frozenset({'"3"'})),
        ExpectedVersion(frozenset({'"1"', '"3"'}), frozenset({'"2"'})),
    ],
)
def test_expected_version_passes(expected: ExpectedVersion) -> None:
    expected.check(3)


@pytest.mark.parametrize(
    "expected",
    [
        ExpectedVersion(frozenset()),
        ExpectedVersion(frozenset({'"2"', '"4"'})),
        ExpectedVersion(none_of=frozenset({'"3"'})),
        ExpectedVersion(frozenset({'"3"'}), frozenset({'"3"'})),
    ],
)
def test_other_version_is_refused(expected: ExpectedVersion) -> None:
    with pytest.raises(PreconditionFailedError):
        expected.check(3)
