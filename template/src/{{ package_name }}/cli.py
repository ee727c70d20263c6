"""The service's command: serve it, develop it, look into it."""

import json
import sys
from typing import Annotated

import typer

from .core.about import DISTRIBUTION, TITLE
from .core.development import development_module
from .core.discovery import find_commands
from .core.errors import CommandError
from .core.logs.setup import log_crash
from .core.settings import SettingsError
from .main import create_app
from .server import serve_requests, stop_cleanly_on_sigterm
from .settings import Settings

UNUSABLE_SETTINGS = 2

app = typer.Typer(
    name=DISTRIBUTION,
    help=f"{TITLE}.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for feature_commands in find_commands():
    app.registered_commands.extend(feature_commands.registered_commands)
if development := development_module("commands"):
    app.registered_commands.extend(development.commands.registered_commands)

Port = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="The port to listen on, instead of PORT."),
]


@app.command()
def serve(port: Port = None) -> None:
    """Serve requests with the settings of the environment."""
    settings = Settings.load()
    stop_cleanly_on_sigterm()
    serve_requests(settings, port or settings.port)


@app.command()
def openapi() -> None:
    """Print the OpenAPI document as JSON; needs no settings and no database."""
    document = create_app(Settings.for_schema()).openapi()
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


@app.command()
def check_config() -> None:
    """Say whether the environment holds usable settings, and what is wrong if not."""
    settings = Settings.load()
    typer.echo(f"The settings are usable ({settings.environment}).")


def main() -> None:
    """Run the command; a known failure ends with its sentence, not with a traceback."""
    try:
        app()
    except SettingsError as error:
        typer.echo(str(error), err=True)
        sys.exit(UNUSABLE_SETTINGS)
    except CommandError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    # Nobody is left to handle it, so that it is told like everything else that happens.
    except Exception as error:  # noqa: BLE001
        log_crash(type(error), error, error.__traceback__)
        sys.exit(1)
