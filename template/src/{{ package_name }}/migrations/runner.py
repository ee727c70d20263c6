"""How Alembic reaches the database and the models."""

from contextlib import AsyncExitStack
from typing import Literal

import anyio
from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, pool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from ..core.database.dialect import BATCH_MIGRATIONS, lock_migrations
from ..core.database.session import Base, UtcDateTime
from ..core.development import development_environment
from ..core.discovery import find_modules
from ..core.errors import CommandError
from ..settings import Settings


def run_migrations() -> None:
    """Run what Alembic was asked to, against the database of its configuration.

    Without one, as on Alembic's own command line, it is the settings' database.
    """
    list(find_modules("models"))
    url: str | None = context.config.attributes.get("database_url")
    if url is not None:
        _run(url)
        return
    with development_environment():
        _run(Settings.load().database_url.get_secret_value())


def _run(url: str) -> None:
    if context.is_offline_mode():
        context.configure(url=url, target_metadata=Base.metadata, literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    anyio.run(_connect_and_run, url)


async def _connect_and_run(url: str) -> None:
    engine = create_async_engine(url, poolclass=pool.NullPool, hide_parameters=True)
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(engine.connect())
        except (OSError, DBAPIError) as error:
            where = f"{engine.url.host or ''}/{engine.url.database}"
            message = f"The database {where} does not answer: {type(error).__name__}."
            raise CommandError(message) from error
        await connection.run_sync(_run_on)


def _run_on(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=BATCH_MIGRATIONS,
        render_item=_render_item,
    )
    with context.begin_transaction():
        lock_migrations(connection)
        context.run_migrations()


def _render_item(
    kind: str, item: object, autogen_context: AutogenContext
) -> str | Literal[False]:
    # A migration must not change its meaning when the service's own type does.
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False
