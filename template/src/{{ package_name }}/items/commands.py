"""Commands for items."""

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
    """The file format of a report."""

    CSV = "csv"
    PARQUET = "parquet"


@commands.command()
def report_items(
    output: Annotated[
        Path | None,
        typer.Option(help="The file to write instead of standard output."),
    ] = None,
    report_format: Annotated[
        ReportFormat, typer.Option("--format", help="The file format.")
    ] = ReportFormat.CSV,
) -> None:
    """Report the number and the prices of the items of each day."""
    with development_environment():
        settings = Settings.load()
        # The report may go to standard output, so the log goes to standard error.
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
    # The server imports this module too, and does not need Polars.
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
