"""Settings of the read cache."""

from pydantic import Field

from ..database.settings import PoolSettings


class CacheSettings(PoolSettings):
    """How long reads are cached."""

    cache_seconds: float = Field(default=2, gt=0)
    """The TTL; a change in another process becomes visible after it."""
