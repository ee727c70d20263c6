"""The report over items: its days, its formats, its errors, and the notebook that reads it."""

import io
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import httpx2
import polars as pl
import pytest
from anyio import to_thread
from typer.testing import CliRunner

from order_service.cli import app
from order_service.settings import Settings

from ..service import DIRECTORY, has
from ..serving import environment_of, run, run_here
from ..tables import Tables

NOTEBOOK = DIRECTORY / "notebooks/items.ipynb"

HEADER = "day,items,total_cents,lowest_cents,highest_cents"

Report = Callable[..., Awaitable[str]]
AddItems = Callable[..., Awaitable[None]]

if not NOTEBOOK.is_file():
    pytest.skip("The service has no report over items any more.", allow_module_level=True)


@pytest.fixture
def environment(settings: Settings) -> Mapping[str, str]:
    """Return the environment of the command, in another time zone."""
    return environment_of(settings, TZ="Asia/Tokyo")


@pytest.fixture
def user(request: pytest.FixtureRequest) -> httpx2.AsyncClient:
    """Return a client that may add items."""
    client: httpx2.AsyncClient = request.getfixturevalue("ada" if has("auth") else "client")
    return client


@pytest.fixture
def add_items(user: httpx2.AsyncClient, tables: Tables) -> AddItems:
    """Return a function that adds items of one moment, which cost 1, 2, 3 … cents."""

    async def add(count: int, moment: str) -> None:
        for number in range(count):
            content = {"name": "Lamp", "price_cents": number + 1}
            response = await user.post("/api/v1/items", json=content)
            item = response.raise_for_status().json()["id"]
            assign = f"created_at = '{moment}{'+00' if has('postgresql') else ''}'"
            key = item if has("postgresql") else item.replace("-", "")
            await tables.run(f"UPDATE items SET {assign} WHERE id = '{key}'")  # noqa: S608

    return add


@pytest.fixture
def report(environment: Mapping[str, str]) -> Report:
    """Return a function that runs the command in this process and returns its output."""
    command = partial(CliRunner().invoke, app, env=environment)

    async def run_report(*options: str) -> str:
        # In a thread, because the command runs an event loop of its own.
        completed = await to_thread.run_sync(command, ["report-items", *options])
        assert completed.exit_code == 0, completed.output
        return completed.stdout

    return run_report


async def test_report_counts_days_in_utc_and_writes_the_same_as_parquet(
    add_items: AddItems, report: Report, environment: Mapping[str, str], tmp_path: Path
) -> None:
    await add_items(3, "2026-01-01 23:59:59.999999")
    await add_items(1, "2026-01-02 00:00:00.000000")
    file = tmp_path / "items.parquet"

    # A process, because it takes its time zone from the environment when it starts.
    completed = await to_thread.run_sync(partial(run, "report-items", environment=environment))
    written = await report("--format", "parquet", "--output", str(file))

    assert completed.stderr == ""
    assert completed.stdout.splitlines() == [HEADER, "2026-01-01,3,6,1,3", "2026-01-02,1,1,1,1"]
    assert written == ""
    as_csv = pl.read_csv(io.StringIO(completed.stdout), try_parse_dates=True)
    assert pl.read_parquet(file).equals(as_csv)


async def test_report_without_items_is_empty(report: Report) -> None:
    assert await report() == f"{HEADER}\n"


async def test_notebook_reads_the_report(
    add_items: AddItems, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in ("2026-01-05", "2026-01-06", "2026-01-12"):
        await add_items(2, f"{day} 12:00:00.000000")
    await report("--format", "parquet", "--output", str(tmp_path / "items.parquet"))
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    monkeypatch.chdir(tmp_path)
    names: dict[str, pl.DataFrame] = {}

    for cell in cells:
        source = "".join(cell["source"])
        # A line with an exclamation mark runs the command, as was done above.
        if cell["cell_type"] == "code" and not source.startswith("!"):
            exec(compile(source, "cell", "exec"), names)  # noqa: S102 - The template's own.

    assert names["weeks"]["items"].to_list() == [4, 2]


def test_file_that_cannot_be_written_is_named(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    output = str(tmp_path / "nowhere/items.csv")

    completed = run_here("report-items", "--output", output, environment=environment)

    assert completed.returncode == 1
    assert f"{output} cannot be written" in completed.stderr


@pytest.mark.needs("postgresql")
def test_unavailable_database_is_reported_without_its_password(
    environment: Mapping[str, str],
) -> None:
    url = "postgresql://user:hunter2@127.0.0.1:9/orders"

    completed = run_here("report-items", environment={**environment, "DATABASE_URL": url})

    assert (completed.returncode, completed.stdout) == (1, "")
    assert "The items cannot be read" in completed.stderr
    assert "hunter2" not in completed.stderr
    assert "Traceback" not in completed.stderr
