"""Settings from mounted files, one for each: how Docker and Kubernetes pass secrets."""

import os
from pathlib import Path

from pydantic_settings import BaseSettings, SecretsSettingsSource, SettingsError

DEFAULT_DIRECTORY = Path("/run/secrets")
"""Where Docker mounts secrets."""


def secret_files(settings_cls: type[BaseSettings]) -> SecretsSettingsSource:
    """Give the source that reads a file named like the setting, if there is one.

    The directory is the one that SECRETS_DIR names, or else the usual one.

    Raises:
        SettingsError: SECRETS_DIR names no directory.
    """
    named = os.environ.get("SECRETS_DIR")
    if named and not Path(named).is_dir():
        message = "SECRETS_DIR: there is no such directory"
        raise SettingsError(message)
    usual = DEFAULT_DIRECTORY if DEFAULT_DIRECTORY.is_dir() else None
    return SecretsSettingsSource(settings_cls, named or usual)
