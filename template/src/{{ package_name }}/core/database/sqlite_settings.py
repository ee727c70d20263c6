"""Settings of SQLite."""

from pydantic import Field, SecretStr, field_validator

from .settings import PoolSettings
from .url import async_url

DRIVER = "sqlite+aiosqlite"
"""SQLAlchemy's dialect and driver."""


class DatabaseSettings(PoolSettings):
    """Where the database's file is."""

    database_url: SecretStr = Field(examples=["sqlite:///name.db"])
    """Where the database is: ``sqlite:///path/to/file.db``."""

    @field_validator("database_url")
    @classmethod
    def name_async_driver(cls, url: SecretStr) -> SecretStr:
        """Name the asynchronous driver in the URL."""
        return SecretStr(async_url(url.get_secret_value(), DRIVER))
