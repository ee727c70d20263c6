"""The service's command: serve it, develop it, look into it."""

import json
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from .core.about import DISTRIBUTION, TITLE
from .core.discovery import find_commands
from .core.errors import CommandError
from .core.logging import log_crash
from .core.settings import SettingsError
from .development import development_service, schema_settings
from .main import create_app
from .server import FACTORY, serve_requests
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

Port = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="The port to listen on, instead of PORT."),
]


@app.command()
def serve(port: Port = None) -> None:
    """Serve requests with the settings of the environment."""
    settings = Settings.load()
    _end_well_when_told_to_stop()
    serve_requests(settings, port or settings.port)


@app.command()
def dev(port: Port = None) -> None:
    """Serve on this machine, reload on changes, and bring everything it needs."""
    with development_service() as settings:
        chosen = port or settings.port
        _refuse_taken_port(settings.host, chosen)
        _end_well_when_told_to_stop()
        typer.echo(f"Documentation: http://{settings.host}:{chosen}/docs")
        uvicorn.run(
            FACTORY,
            factory=True,
            host=settings.host,
            port=chosen,
            reload=True,
            reload_dirs=[str(Path(__file__).parent)],
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=settings.forwarded_allow_ips,
            timeout_graceful_shutdown=1,
        )


@app.command()
def openapi() -> None:
    """Print the OpenAPI document as JSON; needs no settings and no database."""
    document = create_app(schema_settings()).openapi()
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


@app.command()
def check_config() -> None:
    """Say whether the environment holds usable settings, and what is wrong if not."""
    settings = Settings.load()
    typer.echo(f"The settings are usable ({settings.environment}).")


def _end_well_when_told_to_stop() -> None:
    # Uvicorn finishes its requests and then raises the signal again. By default that
    # would end the process as if it had been killed; an orderly stop is a success.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def _refuse_taken_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            message = f"Port {port} cannot be used ({error.strerror}): try --port."
            raise CommandError(message) from error


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
