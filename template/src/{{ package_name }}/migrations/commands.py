"""Migrations from the command line."""

import typer

from ..core.development import development_environment
from ..migrations import upgrade
from ..settings import Settings

commands = typer.Typer()


@commands.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    with development_environment():
        upgrade(Settings.load().database_url.get_secret_value())
    typer.echo("The database has the newest schema.")
