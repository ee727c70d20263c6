"""Settings from mounted files, one per setting, as Docker and Kubernetes pass secrets."""

import os
from pathlib import Path

from pydantic_settings import BaseSettings, SecretsSettingsSource, SettingsError

DEFAULT_DIRECTORY = Path("/run/secrets")
"""Where Docker mounts secrets."""


def secret_files(settings_cls: type[BaseSettings]) -> SecretsSettingsSource:
    """Return the source that reads each setting from a file with its name.

    Raises:
        SettingsError: there is no directory SECRETS_DIR.
    """
    named = os.environ.get("SECRETS_DIR")
    if named and not Path(named).is_dir():
        message = "SECRETS_DIR: there is no such directory"
        raise SettingsError(message)
    default = DEFAULT_DIRECTORY if DEFAULT_DIRECTORY.is_dir() else None
    return SecretsSettingsSource(settings_cls, named or default)
