"""Rows of a query become Polars frames, in batches whose memory is bounded."""

import os
import subprocess
from collections.abc import AsyncIterator
from uuid import UUID

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from order_service.core.database.session import open_engine
from order_service.core.frames.batches import BATCH_ROWS, frames_of
from order_service.settings import Settings

from ..feature.models import Trial
from ..service import PYTHON, has
from ..serving import environment_of
from .reading import SCHEMA, trials

ROWS = 20 * BATCH_ROWS

MOST_GROWTH = 1.2
"""How much more memory twenty batches may take than one; all rows at once take more."""

if has("postgresql"):
    NUMBERS = f"SELECT generate_series(1, {ROWS}) AS number"
    RANDOM_ID = "gen_random_uuid()"
else:
    NUMBERS = (
        "WITH RECURSIVE counted(number) AS (SELECT 1 UNION ALL"  # noqa: S608
        f" SELECT number + 1 FROM counted WHERE number < {ROWS}) SELECT number FROM counted"
    )
    RANDOM_ID = "lower(hex(randomblob(16)))"

CONTENT = {
    "id": RANDOM_ID,
    "caller": "'anyone'",
    "name": "'Lamp'",
    "note": "''",
    "amount": "number",
    "version": "1",
    "created_at": "CURRENT_TIMESTAMP",
    "updated_at": "CURRENT_TIMESTAMP",
}
# A service without conditional writes has no versions.
COLUMNS = [name for name in CONTENT if name in Trial.__table__.columns]
INSERT = (
    f"INSERT INTO trials ({', '.join(COLUMNS)})"  # noqa: S608 - All of it is written here.
    f" SELECT {', '.join(CONTENT[name] for name in COLUMNS)} FROM ({NUMBERS}) AS numbers"
)


async def insert_trials(url: str) -> None:
    """Add trials whose amounts are 1, 2, 3 and so on."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text(INSERT))
    await engine.dispose()


@pytest.fixture(scope="module")
def filled(module_settings: Settings) -> Settings:
    """Return settings of a database with many trials."""
    anyio.run(insert_trials, module_settings.database_url.get_secret_value())
    return module_settings


@pytest.fixture
async def engine(filled: Settings) -> AsyncIterator[AsyncEngine]:
    """Open the database with many trials."""
    async with open_engine(filled) as engine:
        yield engine


async def test_frames_hold_a_batch_each(engine: AsyncEngine) -> None:
    statement = trials(2 * BATCH_ROWS + 1)

    frames = [frame async for frame in frames_of(engine, statement, SCHEMA)]

    assert [frame.height for frame in frames] == [BATCH_ROWS, BATCH_ROWS, 1]


async def test_ids_become_text_and_null_stays_null(engine: AsyncEngine) -> None:
    (frame,) = [frame async for frame in frames_of(engine, trials(2), SCHEMA)]

    assert len({UUID(id_) for id_ in frame["id"]}) == 2
    assert frame["gap"].to_list() == [None, None]


def read(settings: Settings, limit: int) -> tuple[int, int]:
    """Read so many trials in a process, and return their sum and the peak of its memory."""
    completed = subprocess.run(
        [PYTHON, "-m", "tests.platform.data_tools.reading", str(limit)],
        env=environment_of(settings, DATABASE_SECONDS="60"),
        check=True,
        capture_output=True,
        text=True,
    )
    total, peak = completed.stdout.split()
    return int(total), int(peak)


def test_memory_does_not_grow_with_the_rows(filled: Settings) -> None:
    _, peak_of_one_batch = read(filled, BATCH_ROWS)

    total, peak_of_all = read(filled, ROWS)

    assert total == ROWS * (ROWS + 1) // 2
    assert peak_of_all < MOST_GROWTH * peak_of_one_batch


def test_server_does_not_import_polars() -> None:
    # The command imports everything that it may serve or run.
    program = "import sys, order_service.cli; print('polars' in sys.modules)"

    completed = subprocess.run(
        [PYTHON, "-c", program],
        env={"PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
        text=True,
    )

    assert completed.stdout == "False\n"
