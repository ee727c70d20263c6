"""The table of trials."""

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from order_service.core.database.models import Base, Record

from ..service import has

if has("conditional_writes"):
    from order_service.core.conditional_writes.models import Versioned
else:

    class Versioned:  # type: ignore[no-redef]
        """Adds nothing: the service has no versions."""


class Trial(Record, Versioned, Base):
    """A name, a note and an amount that belong to one caller."""

    __tablename__ = "trials"
    __table_args__ = (Index(None, "caller", "created_at", "id"),)

    caller: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(120))
    note: Mapped[str] = mapped_column(Text)
    amount: Mapped[int]
