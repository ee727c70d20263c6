"""Settings of a read cache in Redis."""

from pydantic import Field

from .settings import CacheSettings


class SharedCacheSettings(CacheSettings):
    """How long reads are cached for all processes."""

    cache_seconds: float = Field(default=60, gt=0)
    """The TTL; a change is visible in all processes at once."""
