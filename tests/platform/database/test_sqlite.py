"""SQLite: every connection is a thread."""

import logging
import threading
import time

import anyio
import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from order_service.core.database.session import check_database, open_engine
from order_service.settings import Settings

NEEDS = {"sqlite"}


def test_failed_connection_leaves_no_thread(
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nowhere = SecretStr("sqlite+aiosqlite:////nowhere/orders.db")
    unusable = settings.model_copy(update={"database_url": nowhere})
    driver = logging.getLogger("aiosqlite")

    def delay(record: logging.LogRecord) -> bool:
        time.sleep(0.1)
        return bool(record)

    # The driver says all it does, so waiting here makes its thread a slow one.
    caplog.set_level(logging.DEBUG, driver.name)
    monkeypatch.setattr(driver, "filters", [delay])

    async def check() -> None:
        async with open_engine(unusable) as engine:
            await check_database(engine)

    with pytest.raises(OperationalError):
        anyio.run(check)

    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if "_connection_worker_thread" in name]
