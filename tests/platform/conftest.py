"""Fixtures of all platform tests: settings, a running application, clients of it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import ASGIApp

from order_service.main import create_app
from order_service.settings import Settings

from .accounts import ADA, NewAccount, register, sign_in
from .clients import client_of, running
from .feature import add_trials
from .redis_servers import open_redis_server
from .selection import (  # noqa: F401 - pytest finds its hooks here.
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_ignore_collect,
    pytest_sessionfinish,
    pytest_terminal_summary,
)
from .service import has

if has("database"):
    from .databases import open_databases

if TYPE_CHECKING:
    from .databases import Databases
    from .tables import Tables

NO_LIMIT = "1000000/minute"
"""More than any test sends: tests of a limit lower it."""

JWT_SECRET = "a key of thirty-two bytes, at least"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as the service runs."""
    return "asyncio"


@pytest.fixture(scope="session")
def databases() -> Iterator["Databases"]:
    """Open the server, or the directory, that the tests' databases are on."""
    with open_databases() as databases:
        yield databases


@pytest.fixture
def database_url(databases: "Databases") -> Iterator[str]:
    """Clone a database with the newest schema, the trials table and no rows."""
    with databases.migrated() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Open the Redis or Valkey of the tests: that of REDIS_URL, or one started here."""
    with open_redis_server() as url:
        yield url


def settings_for(database_url: str | None, redis_url: str | None) -> Settings:
    """Build settings for tests; a service ignores those of parts that it lacks."""
    values: dict[str, object] = {
        "environment": "test",
        "cors_origins": ["https://app.example.com"],
        "max_body_bytes": 10_000,
        "rate_limit_default": NO_LIMIT,
        "rate_limit_login": NO_LIMIT,
        "rate_limit_registration": NO_LIMIT,
        "rate_limit_refresh": NO_LIMIT,
        "rate_limit_login_failures_per_account": NO_LIMIT,
        "rate_limit_login_failures_per_address": NO_LIMIT,
        "jwt_secret": SecretStr(JWT_SECRET),
        # As cheap as the algorithm allows: the tests hash many passwords.
        "password_hash_memory_kib": 32,
        "password_hash_rounds": 1,
    }
    if database_url:
        values["database_url"] = SecretStr(database_url)
    if redis_url:
        values["redis_url"] = SecretStr(redis_url)
        values["redis_prefix"] = f"test-{uuid4().hex}"
    return Settings(**values)  # type: ignore[arg-type]


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> Settings:
    """Build settings with a database and keys that only this test uses."""
    return settings_for(
        request.getfixturevalue("database_url") if has("database") else None,
        request.getfixturevalue("redis_url") if has("redis") else None,
    )


@pytest.fixture(scope="module")
def module_settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Build settings with a database and keys that all tests of a module share."""
    with ExitStack() as stack:
        database = None
        if has("database"):
            databases: Databases = request.getfixturevalue("databases")
            database = stack.enter_context(databases.migrated())
        redis = request.getfixturevalue("redis_url") if has("redis") else None
        yield settings_for(database, redis)


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """Build the application with the trials; a test may change it before it runs."""
    app = create_app(settings)
    add_trials(app)
    return app


@pytest.fixture
async def service(app: FastAPI) -> AsyncIterator[ASGIApp]:
    """Run the application."""
    async with running(app) as service:
        yield service


@pytest.fixture
async def client(service: ASGIApp) -> AsyncIterator[httpx2.AsyncClient]:
    """Open a client without credentials."""
    async with client_of(service) as client:
        yield client


@pytest.fixture(scope="module")
async def shared_service(module_settings: Settings) -> AsyncIterator[ASGIApp]:
    """Run an application with the trials for all tests of a module."""
    app = create_app(module_settings)
    add_trials(app)
    async with running(app) as service:
        yield service


@pytest.fixture
async def shared_client(shared_service: ASGIApp) -> AsyncIterator[httpx2.AsyncClient]:
    """Open a client of the shared application, whose trials and keys only this test sees."""
    async with client_of(shared_service, X_Caller=uuid4().hex) as client:
        yield client


@pytest.fixture
async def new_account(service: ASGIApp) -> AsyncIterator[NewAccount]:
    """Return a function that registers a user and opens a client signed in as that user."""
    async with AsyncExitStack() as stack:

        async def register_and_sign_in(email: str) -> httpx2.AsyncClient:
            client = await stack.enter_async_context(client_of(service))
            await register(client, email)
            await sign_in(client, email)
            return client

        yield register_and_sign_in


@pytest.fixture
async def ada(new_account: NewAccount) -> httpx2.AsyncClient:
    """Open a client that is signed in as ``ada@example.com``."""
    return await new_account(ADA)


@pytest.fixture
def tables(settings: Settings) -> "Tables":
    """Return access to the tables of the test's database."""
    from .tables import Tables  # noqa: PLC0415 - Not every service has a database.

    return Tables(settings)
