"""Jobs from the command line: doing them, sending them, and those that failed."""

import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated
from uuid import UUID

import anyio
import typer

from ..core.database.session import open_engine, sessions_of
from ..core.development import development_environment
from ..core.errors import CommandError
from ..core.logs.setup import configure_logging
from ..core.outbox.dead_letters import DeadLetters
from ..core.outbox.handlers import Handlers, find_handlers
from ..core.outbox.patience import SILENCE
from ..settings import Settings
from .process import Stop, keep_time, until_told_to_stop, work

commands = typer.Typer()


@commands.command()
def worker() -> None:
    """Do the jobs of messages, until told to stop; start as many as are needed."""
    _run(work)


@commands.command()
def scheduler() -> None:
    """Send messages when the clock says so; one is enough, and more do no harm."""
    _run(keep_time)


@commands.command()
def failed_jobs(
    limit: Annotated[int, typer.Option(min=1, help="The most to list.")] = 100,
) -> None:
    """List the messages whose jobs were given up, the last one first."""
    with development_environment():
        _ask(_list_failed, limit)


@commands.command()
def replay_jobs(
    message_ids: Annotated[
        list[UUID] | None,
        typer.Argument(
            metavar="ID...", help="Which messages, as failed-jobs lists them."
        ),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that have failed.")] = False,
) -> None:
    """Have jobs that were given up tried again, as if they were new."""
    if every == bool(message_ids):
        message = "Name the messages, or say --all."
        raise CommandError(message)
    with development_environment():
        _ask(_replay, None if every else message_ids)


def _run(main: Callable[[Settings, Handlers, Stop], Awaitable[None]]) -> None:
    settings = Settings.load()
    configure_logging(settings)
    # Until the process listens for itself, being told to stop is no failure either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    anyio.run(
        until_told_to_stop,
        partial(main, settings, find_handlers()),
        backend_options={"use_uvloop": sys.platform != "win32"},
    )


def _ask(question: Callable[..., Awaitable[None]], argument: object) -> None:
    try:
        anyio.run(question, Settings.load(), argument)
    except SILENCE as error:
        message = f"The database does not answer: {type(error).__name__}."
        raise CommandError(message) from error


async def _list_failed(settings: Settings, limit: int) -> None:
    async with open_engine(settings) as engine, sessions_of(engine)() as session:
        for letter in await DeadLetters(session).list_newest(limit):
            failed_at = f"{letter.failed_at:%Y-%m-%dT%H:%M:%SZ}"
            facts = [letter.id, failed_at, letter.name, letter.attempts, letter.error]
            typer.echo("\t".join(map(str, facts)))


async def _replay(settings: Settings, message_ids: list[UUID] | None) -> None:
    async with open_engine(settings) as engine, sessions_of(engine).begin() as session:
        replayed = await DeadLetters(session).replay(message_ids)
        if missing := set(message_ids or ()) - replayed:
            listed = ", ".join(sorted(map(str, missing)))
            message = f"Not among the failed ones: {listed}."
            raise CommandError(message)
    typer.echo(f"Messages to be tried again: {len(replayed)}.")
