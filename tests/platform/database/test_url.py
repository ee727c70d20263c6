"""The forms of a database URL."""

import pytest

from order_service.core.database.url import async_url


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgres://u:p@db/orders", "postgresql+asyncpg://u:p@db/orders"),
        ("postgresql://u:p@db:5433/orders", "postgresql+asyncpg://u:p@db:5433/orders"),
        (
            "postgresql+asyncpg://u:p%40ss@db/orders?sslmode=require",
            "postgresql+asyncpg://u:p%40ss@db/orders?ssl=require",
        ),
        (
            "postgres://db/orders?ssl=require",
            "postgresql+asyncpg://db/orders?ssl=require",
        ),
    ],
)
def test_postgresql_urls_name_the_driver(given: str, expected: str) -> None:
    assert async_url(given, "postgresql+asyncpg") == expected


@pytest.mark.parametrize("given", ["sqlite:///orders.db", "sqlite+aiosqlite:///orders.db"])
def test_sqlite_urls_name_the_driver(given: str) -> None:
    assert async_url(given, "sqlite+aiosqlite") == "sqlite+aiosqlite:///orders.db"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "orders",
        "http://db/orders",
        "postgresql://db",
        "postgres+psycopg://db/orders",
        "sqlite:///orders.db",
    ],
)
def test_other_urls_are_refused(given: str) -> None:
    with pytest.raises(ValueError, match="must"):
        async_url(given, "postgresql+asyncpg")
