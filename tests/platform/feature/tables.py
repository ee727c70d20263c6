"""The table of trials, created beside those of the service's migrations."""

from sqlalchemy.ext.asyncio import create_async_engine


async def create_tables(url: str) -> None:
    """Create the table of trials."""
    from .models import Trial  # noqa: PLC0415 - A service without a database has no models.

    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(Trial.metadata.tables["trials"].create)
    await engine.dispose()
