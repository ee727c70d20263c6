"""Settings of the connections to the database."""

from pydantic import Field

from ..configuration import Configuration

CHECKED = "checked"
"""Key of a connection's `info`: whether it was checked when the pool gave it out."""


class PoolSettings(Configuration):
    """The number of connections, and their timeouts."""

    database_pool_size: int = Field(default=20, ge=1)
    """How many connections are kept open."""

    database_max_overflow: int = Field(default=0, ge=0)
    """How many more may be opened under load; each is closed after its use."""

    database_seconds: float = Field(default=5, gt=0)
    """The timeout for connecting, for a free connection and for each statement."""

    @property
    def idle_in_transaction_seconds(self) -> float:
        """How long a transaction may be idle before the server ends it."""
        return 60
