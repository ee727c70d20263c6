"""The version column of a table."""

from typing import Any

from sqlalchemy.orm import Mapped, declared_attr, mapped_column


class Versioned:
    """A record whose changes are counted, so that none is lost (optimistic locking).

    Every UPDATE and DELETE names the version that was read, and fails when another
    transaction has stored a newer one.
    """

    # The default fills the rows that exist when a table gets this column, and serves the
    # release before, while both run.
    version: Mapped[int] = mapped_column(server_default="1")

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805
        """Name the column that SQLAlchemy counts in."""
        return {"version_id_col": cls.version}
