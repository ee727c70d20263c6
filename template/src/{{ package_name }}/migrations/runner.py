"""Runs Alembic on the database and the models of this service."""

from contextlib import nullcontext
from typing import Literal

import anyio
from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, pool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from ..core.database.dialect import BATCH_MIGRATIONS, lock_migrations
from ..core.database.models import UtcDateTime
from ..core.development import development_environment
from ..core.errors import CommandError
from ..settings import Settings
from .models import METADATA


def run_migrations() -> None:
    """Run Alembic's command on the database of its configuration.

    Alembic's own command line configures none: then it is the settings' database.
    """
    url: str | None = context.config.attributes.get("database_url")
    with nullcontext() if url else development_environment():
        url = url or Settings.load().database_url.get_secret_value()
        if context.is_offline_mode():
            context.configure(url=url, target_metadata=METADATA, literal_binds=True)
            with context.begin_transaction():
                context.run_migrations()
        else:
            anyio.run(_connect_and_run, url)


async def _connect_and_run(url: str) -> None:
    engine = create_async_engine(url, poolclass=pool.NullPool, hide_parameters=True)
    try:
        connection = await engine.connect()
    except (OSError, DBAPIError) as error:
        where = f"{engine.url.host or ''}/{engine.url.database}"
        message = f"The database {where} does not respond: {type(error).__name__}."
        raise CommandError(message) from error
    try:
        await connection.run_sync(_run_on)
    finally:
        await connection.close()


def _run_on(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=BATCH_MIGRATIONS,
        render_item=_render_item,
    )
    with context.begin_transaction():
        lock_migrations(connection)
        context.run_migrations()


def _render_item(
    kind: str, item: object, autogen_context: AutogenContext
) -> str | Literal[False]:
    # A migration must not change when the service's own type does.
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False
