"""Settings of PostgreSQL."""

from pydantic import Field, SecretStr, field_validator

from .settings import PoolSettings
from .url import async_url

DRIVER = "postgresql+asyncpg"
"""SQLAlchemy's dialect and driver."""


class DatabaseSettings(PoolSettings):
    """The address of PostgreSQL, and whether a pooler is in front of it."""

    database_url: SecretStr = Field(examples=["postgresql://localhost/name"])
    """Where the database is: ``postgresql://user:password@host:5432/name``."""

    database_transaction_pooling: bool = False
    """Whether a pooler such as PgBouncer is in between, in transaction mode."""

    @field_validator("database_url")
    @classmethod
    def name_async_driver(cls, url: SecretStr) -> SecretStr:
        """Name the asynchronous driver in the URL, in whichever form it was given."""
        return SecretStr(async_url(url.get_secret_value(), DRIVER))
