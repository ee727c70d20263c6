"""Settings of Redis."""

from pydantic import Field, SecretStr, field_validator

from ..about import DISTRIBUTION
from ..configuration import Configuration

SCHEMES = ("redis://", "rediss://", "unix://")
"""Plain, over TLS, and over a socket of this machine."""


class RedisSettings(Configuration):
    """Where Redis or Valkey is, and how long it may take."""

    redis_url: SecretStr = Field(examples=["redis://localhost"])
    """Where Redis or Valkey is: ``redis://:password@host:6379/0``."""

    redis_prefix: str = Field(default=DISTRIBUTION, min_length=1)
    """The beginning of every key, so that several services can share one Redis."""

    redis_seconds: float = Field(default=1, gt=0)
    """The timeout of one call, connecting included."""

    redis_max_connections: int = Field(default=20, ge=1)
    """How many connections may be open; further calls wait for one."""

    @field_validator("redis_url")
    @classmethod
    def refuse_other_schemes(cls, url: SecretStr) -> SecretStr:
        """Refuse a URL that the client would not understand."""
        if not url.get_secret_value().startswith(SCHEMES):
            message = f"must start with {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}"
            raise ValueError(message)
        return url
