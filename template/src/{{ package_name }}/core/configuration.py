"""The base of all settings: where they come from, and how problems are reported."""

import os
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as SourceError

from .secrets.files import secret_files

Environment = Literal["development", "test", "production"]


def split_commas(text: object) -> object:
    """Read a list from one line of text."""
    if isinstance(text, str):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(split_commas)]
"""A list that its environment variable separates by commas."""


class SettingsError(RuntimeError):
    """Settings are missing or invalid; all at once, so that they can be fixed at once.

    Args:
        problems: Each one as a line that starts with the variable's name.
        missing: The variables that are required and not set.
    """

    def __init__(
        self, problems: list[str], missing: frozenset[str] = frozenset()
    ) -> None:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"The settings are not usable:\n{listed}")
        self.problems = problems
        self.missing = missing


class Configuration(BaseSettings):
    """The environment, and the sources of all settings.

    Sources, the first wins: arguments, environment variables, outside of production
    a file ``.env`` in the working directory, and mounted files (secrets/files.py).
    """

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    environment: Environment = "production"
    """Where the service runs; production is the strict one, hence the default."""

    @property
    def is_production(self) -> bool:
        """Whether real users are served."""
        return self.environment == "production"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the file ``.env`` in development only."""
        sources = [init_settings, env_settings]
        if os.environ.get("ENVIRONMENT", "production") != "production":
            sources.append(dotenv_settings)
        return (*sources, secret_files(settings_cls), *cls.further_sources())

    @classmethod
    def further_sources(cls) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources that are read after all others."""
        return ()

    @classmethod
    def for_schema(cls) -> Self:
        """Return settings that describe the API: required ones have their examples."""
        examples = {
            name: field.examples[0]
            for name, field in cls.model_fields.items()
            if field.is_required() and field.examples
        }
        return cls(**{"environment": "test", **examples})

    @classmethod
    def load(cls) -> Self:
        """Read the settings; raise SettingsError with all problems and no values."""
        try:
            return cls()
        except ValidationError as error:
            problems, missing = [], set()
            for failure in error.errors(include_input=False):
                variable = ".".join(map(str, failure["loc"])).upper() or "SETTINGS"
                message = failure["msg"].removeprefix("Value error, ")
                problems.append(f"{variable}: {message}")
                if failure["type"] == "missing":
                    missing.add(variable)
            raise SettingsError(problems, frozenset(missing)) from None
        except SourceError as error:
            # The text that could not be parsed may be a secret: name its error's type.
            cause = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
            raise SettingsError([f"{error}{cause}"]) from None
