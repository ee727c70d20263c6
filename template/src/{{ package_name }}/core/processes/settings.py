"""Settings of the number of processes."""

from pydantic import Field

from ..configuration import Configuration


class ProcessSettings(Configuration):
    """How many processes serve."""

    processes: int = Field(default=1, ge=1)
    """How many processes share the port; each has its own pool and its own memory."""
