"""Commands for jobs: the worker, the scheduler, and dead letters."""

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
from ..core.outbox.handlers import Handlers
from ..core.outbox.patience import DATABASE_ERRORS
from ..settings import Settings
from .handlers import all_handlers
from .process import Stop, keep_time, run_until_stopped, work

commands = typer.Typer()


@commands.command()
def worker() -> None:
    """Run jobs until SIGTERM. Start as many workers as you need."""
    _run(work)


@commands.command()
def scheduler() -> None:
    """Send scheduled messages. One is enough; several send each message once."""
    _run(keep_time)


@commands.command()
def failed_jobs(
    limit: Annotated[int, typer.Option(min=1, help="The maximum to list.")] = 100,
) -> None:
    """List the messages whose jobs failed for good, the latest failure first."""
    with development_environment():
        _query(_list_failed, limit)


@commands.command()
def replay_jobs(
    message_ids: Annotated[
        list[UUID] | None,
        typer.Argument(metavar="ID...", help="The ids that failed-jobs lists."),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All failed jobs.")] = False,
) -> None:
    """Retry jobs that failed for good, as if they were new."""
    if every == bool(message_ids):
        message = "Name the messages, or use --all."
        raise CommandError(message)
    with development_environment():
        _query(_replay, None if every else message_ids)


def _run(main: Callable[[Settings, Handlers, Stop], Awaitable[None]]) -> None:
    settings = Settings.load()
    configure_logging(settings)
    # Before the process handles signals itself, SIGTERM is no failure either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    anyio.run(
        run_until_stopped,
        partial(main, settings, all_handlers()),
        backend_options={"use_uvloop": sys.platform != "win32"},
    )


def _query(query: Callable[..., Awaitable[None]], argument: object) -> None:
    try:
        anyio.run(query, Settings.load(), argument)
    except DATABASE_ERRORS as error:
        message = f"The database does not respond: {type(error).__name__}."
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
            message = f"Not a failed job: {listed}."
            raise CommandError(message)
    typer.echo(f"Jobs to retry: {len(replayed)}.")
