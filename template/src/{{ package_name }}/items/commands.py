"""Items from the command line."""

import sys
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import anyio
import typer
from sqlalchemy.exc import DBAPIError

from ..core.database.session import open_engine
from ..core.development import development_environment
from ..core.errors import CommandError
from ..core.logs.setup import configure_logging
from ..settings import Settings

if TYPE_CHECKING:
    import polars as pl

commands = typer.Typer()


class ReportFormat(StrEnum):
    """How a report is written down."""

    CSV = "csv"
    PARQUET = "parquet"


@commands.command()
def report_items(
    output: Annotated[
        Path | None,
        typer.Option(help="The file to write, instead of standard output."),
    ] = None,
    report_format: Annotated[
        ReportFormat, typer.Option("--format", help="How to write it.")
    ] = ReportFormat.CSV,
) -> None:
    """Report how many items each day has brought, and at which prices."""
    with development_environment():
        settings = Settings.load()
        # Standard output may be the report's, so the log goes beside it.
        with redirect_stdout(sys.stderr):
            configure_logging(settings)
        report = anyio.run(_report, settings)
    if output is None:
        _write(report, sys.stdout.buffer, report_format)
        return
    try:
        with output.open("wb") as file:
            _write(report, file, report_format)
    except OSError as error:
        message = f"{output} cannot be written: {error.strerror}."
        raise CommandError(message) from error
    typer.echo(f"Wrote {report.height} rows to {output}.", err=True)


async def _report(settings: Settings) -> "pl.DataFrame":
    # Whoever serves requests imports this module too, and has no use for Polars.
    from .report import items_per_day  # noqa: PLC0415

    try:
        async with open_engine(settings) as engine:
            return await items_per_day(engine)
    except (OSError, DBAPIError) as error:
        message = f"The items cannot be read: {type(error).__name__}."
        raise CommandError(message) from error


def _write(report: "pl.DataFrame", file: BinaryIO, report_format: ReportFormat) -> None:
    if report_format is ReportFormat.CSV:
        report.write_csv(file)
    else:
        report.write_parquet(file)
