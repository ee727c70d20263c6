"""Settings of idempotent creations."""

from pydantic import Field

from ..configuration import Configuration


class IdempotencySettings(Configuration):
    """How long a creation can be retried."""

    idempotency_hours: int = Field(default=24, ge=1)
    """How long the response to a creation is stored for retries with the same key."""
