"""Users from the command line."""

import sys
from typing import Annotated

import anyio
import typer
from pydantic import ValidationError

from ..audit.repository import AuditRepository
from ..audit.service import AuditLog
from ..core.database import open_engine, sessions_of
from ..core.errors import ConflictError
from ..core.logging import configure_logging
from ..core.passwords import Passwords
from ..development import development_environment
from ..settings import Settings
from .models import Role
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
    *,
    admin: Annotated[
        bool, typer.Option("--admin", help="Let the person see all users.")
    ] = False,
) -> None:
    """Add a user who can sign in; the only way to make an admin."""
    try:
        data = UserCreate(email=email, full_name=full_name, password=password)
    except ValidationError as error:
        for failure in error.errors(include_input=False):
            typer.echo(f"{failure['loc'][0]}: {failure['msg']}", err=True)
        sys.exit(2)
    with development_environment():
        try:
            role = Role.ADMIN if admin else Role.USER
            settings = Settings.load()
            configure_logging(settings)
            anyio.run(_register, data, role, settings)
        except ConflictError as error:
            typer.echo(error.message, err=True)
            sys.exit(1)
    typer.echo(f"Added {data.email}.")


async def _register(data: UserCreate, role: Role, settings: Settings) -> None:
    async with open_engine(settings) as engine, sessions_of(engine).begin() as session:
        audit = AuditLog(AuditRepository(session), request_id=None)
        users = UserService(UserRepository(session), Passwords(settings), audit)
        await users.register(data, role)
