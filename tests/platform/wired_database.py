"""A service whose connections to the database lead through a proxy."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from order_service.settings import Settings

from .wire import Wire, wire_to


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[tuple[Wire, str]]:
    """Open a proxy in front of the test's database; return it and the URL through it."""
    url = make_url(database_url)
    async with wire_to(url.host or "127.0.0.1", url.port or 5432) as (wire, port):
        through = url.set(host="127.0.0.1", port=port)
        yield wire, through.render_as_string(hide_password=False)


@pytest.fixture
def wired_settings(settings: Settings, wire: tuple[Wire, str]) -> Settings:
    """Build settings whose database is behind the proxy, with a short timeout."""
    through = {"database_url": SecretStr(wire[1]), "database_seconds": 1.0}
    return settings.model_copy(update=through)


__all__ = ["wire", "wired_settings"]
