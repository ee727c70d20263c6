"""A fresh database for every test, cloned from a migrated one in milliseconds."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from .feature.tables import create_tables
from .service import PACKAGE, has

DRIVERS = {"postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}


class Databases(Protocol):
    """Makes databases for tests."""

    def empty(self) -> AbstractContextManager[str]:
        """Yield the URL of a database without tables."""

    def migrated(self) -> AbstractContextManager[str]:
        """Yield the URL of a database with the newest schema, the trials and no rows."""


def _build(url: str) -> None:
    import_module(f"{PACKAGE}.migrations").upgrade(url)
    anyio.run(create_tables, url)


class PostgresDatabases:
    """Makes databases on one server, over one connection."""

    def __init__(self, server_url: str, portal: BlockingPortal, *, keep: bool) -> None:
        """Build the template: one database that all migrations have built.

        Args:
            server_url: Any database of the server.
            portal: Runs what needs an event loop.
            keep: Whether databases stay: true on a server that is removed anyway.
        """
        self._server = make_url(server_url).set(drivername=DRIVERS["postgresql"])
        self._portal = portal
        self._keep = keep
        self._engine = create_async_engine(self._server, isolation_level="AUTOCOMMIT")
        self._connection: AsyncConnection = portal.call(self._engine.connect().__aenter__)
        self._template = self._create("template1")
        _build(self._url(self._template))

    @contextmanager
    def empty(self) -> Iterator[str]:
        """Yield the URL of a database without tables."""
        yield from self._created("template1")

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """Yield the URL of a database with the newest schema, the trials and no rows."""
        yield from self._created(self._template)

    def close(self) -> None:
        """Remove the template, and close the connection."""
        self._drop(self._template)
        self._portal.call(self._connection.close)
        self._portal.call(self._engine.dispose)

    def _created(self, template: str) -> Iterator[str]:
        name = self._create(template)
        try:
            yield self._url(name)
        finally:
            self._drop(name)

    def _create(self, template: str) -> str:
        name = f"test_{uuid4().hex}"
        self._run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def _drop(self, name: str) -> None:
        if not self._keep:
            self._run(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _url(self, name: str) -> str:
        return self._server.set(database=name).render_as_string(hide_password=False)

    def _run(self, statement: str) -> None:
        self._portal.call(self._connection.execute, text(statement))


class SqliteDatabases:
    """Makes database files in one directory."""

    def __init__(self, directory: Path) -> None:
        """Build the template: one file that all migrations have built."""
        self._directory = directory
        self._template = directory / "template.db"
        _build(self._url(self._template))

    @contextmanager
    def empty(self) -> Iterator[str]:
        """Yield the URL of a file that does not exist yet."""
        yield self._url(self._directory / f"{uuid4().hex}.db")

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """Yield the URL of a file with the newest schema, the trials and no rows."""
        file = self._directory / f"{uuid4().hex}.db"
        shutil.copyfile(self._template, file)
        yield self._url(file)

    def _url(self, file: Path) -> str:
        return f"{DRIVERS['sqlite']}:///{file}"


@contextmanager
def open_databases() -> Iterator[Databases]:
    """Find a place for databases: SQLite files, or a server.

    The server is the one of DATABASE_URL, or else one that is started for these tests. A
    DATABASE_URL without a server is an error: tests that silently ran on another database
    would prove nothing about this one. Its own data is not touched.
    """
    with ExitStack() as stack:
        if has("sqlite"):
            yield SqliteDatabases(Path(stack.enter_context(tempfile.TemporaryDirectory())))
            return
        url = os.environ.get("DATABASE_URL")
        if not url:
            local = import_module(f"{PACKAGE}_dev.postgres")
            url = stack.enter_context(local.throwaway_server()).url
        portal = stack.enter_context(start_blocking_portal())
        databases = PostgresDatabases(url, portal, keep="DATABASE_URL" not in os.environ)
        stack.callback(databases.close)
        yield databases
