"""Fixtures of these tests: the rows of the outbox."""

from ..service import has

if has("jobs"):
    from ..working import engine, rows

    __all__ = ["engine", "rows"]
