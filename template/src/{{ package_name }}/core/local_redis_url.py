"""A Valkey of a developer's own, started when no other one is named."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import typer

from .errors import CommandError
from .local_redis import LocalRedisError, local_redis


@contextmanager
def local_redis_url() -> Iterator[str]:
    """Start Valkey and give its URL.

    Raises:
        CommandError: there is none to start, or it does not start.
    """
    with ExitStack() as stack:
        try:
            server = stack.enter_context(local_redis())
        except LocalRedisError as error:
            raise CommandError(str(error)) from error
        typer.echo(f"Redis: {server.source}", err=True)
        yield server.url
