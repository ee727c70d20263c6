"""The content of the database, for tests that read or change it without the service."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from order_service.settings import Settings


class Tables:
    """Runs statements, each in its own transaction."""

    def __init__(self, settings: Settings) -> None:
        """Use the database of these settings."""
        self._url = settings.database_url.get_secret_value()

    async def run(self, statement: str, **parameters: object) -> list[dict[str, Any]]:
        """Run one statement and return its rows."""
        engine = create_async_engine(self._url)
        try:
            async with engine.begin() as connection:
                result = await connection.execute(text(statement), parameters)
                if not result.returns_rows:
                    return []
                return [dict(row) for row in result.mappings()]
        finally:
            await engine.dispose()
