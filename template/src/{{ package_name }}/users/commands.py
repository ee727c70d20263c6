"""Users from the command line."""

import sys
from typing import Annotated

import anyio
import typer
from pydantic import ValidationError

from ..core.database import open_engine, sessions_of
from ..core.errors import ConflictError
from ..core.passwords import Passwords
from ..development import development_environment
from ..settings import Settings
from .repository import UserRepository
from .schemas import UserCreate
from .service import UserService

commands = typer.Typer()


@commands.command()
def create_user(
    email: Annotated[
        str, typer.Option(prompt=True, help="The address to sign in with.")
    ],
    full_name: Annotated[str, typer.Option(prompt=True, help="The person's name.")],
    password: Annotated[
        str,
        typer.Option(
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
            envvar="NEW_USER_PASSWORD",
            help="At least 12 characters; better typed at the prompt than given here.",
        ),
    ],
) -> None:
    """Add a user who can sign in."""
    try:
        data = UserCreate(email=email, full_name=full_name, password=password)
    except ValidationError as error:
        for failure in error.errors(include_input=False):
            typer.echo(f"{failure['loc'][0]}: {failure['msg']}", err=True)
        sys.exit(2)
    with development_environment():
        try:
            anyio.run(_register, data, Settings.load())
        except ConflictError as error:
            typer.echo(error.message, err=True)
            sys.exit(1)
    typer.echo(f"Added {data.email}.")


async def _register(data: UserCreate, settings: Settings) -> None:
    async with open_engine(settings) as engine, sessions_of(engine).begin() as session:
        await UserService(UserRepository(session), Passwords(settings)).register(data)
