"""The history of the database's schema."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic is imported where it is used, because serving requests does not need it.
# ruff: noqa: PLC0415

SCRIPTS = Path(__file__).parent


def alembic_config(database_url: str | None = None) -> "Config":
    """Return Alembic's configuration, by default for the settings' database."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["database_url"] = database_url
    return config


def upgrade(database_url: str) -> None:
    """Bring a database to the newest schema."""
    from alembic import command

    command.upgrade(alembic_config(database_url), "heads")
