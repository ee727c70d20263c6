"""Settings from HashiCorp Vault: one secret of a key-value engine, version 2."""

import os
from collections.abc import Mapping
from pathlib import Path

import hvac
from hvac.exceptions import VaultError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsError,
)

from ..configuration import Configuration

SECONDS = 5
"""The timeout for connecting, and for each read of the response."""

INVALID_RESPONSE_ERRORS = (KeyError, TypeError)


def secret_manager(settings_cls: type[BaseSettings]) -> PydanticBaseSettingsSource:
    """Return the settings in the secret that VAULT_PATH names; without it, none.

    Raises:
        SettingsError: the secret cannot be read; the message holds no value.
    """
    where = os.environ.get("VAULT_PATH")
    if not where:
        return InitSettingsSource(settings_cls, {})
    address = os.environ.get("VAULT_ADDR")
    if not address:
        message = "VAULT_ADDR: required where VAULT_PATH is set"
        raise SettingsError(message)
    token = _token()
    try:
        settings = dict(_read(address, token, where))
    # The HTTP client's own errors are OSError, or ValueError for an invalid response.
    except (VaultError, OSError, ValueError) as error:
        reason = type(error).__name__
    except INVALID_RESPONSE_ERRORS:
        reason = "the response is not one of Vault's"
    else:
        return InitSettingsSource(settings_cls, settings)
    message = f"VAULT_PATH: Vault did not give the secret ({reason})"
    raise SettingsError(message)


def _token() -> str:
    file = os.environ.get("VAULT_TOKEN_FILE")
    token = os.environ.get("VAULT_TOKEN", "")
    if not token and file:
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            message = f"VAULT_TOKEN_FILE: cannot be read ({type(error).__name__})"
            raise SettingsError(message) from None
    if not token:
        message = "VAULT_TOKEN: required where VAULT_PATH is set, or VAULT_TOKEN_FILE"
        raise SettingsError(message)
    return token


def _read(address: str, token: str, where: str) -> Mapping[str, object]:
    # The first part of the path is where the engine is mounted.
    mount, _, path = where.strip("/").partition("/")
    vault = hvac.Client(
        url=address,
        token=token,
        timeout=SECONDS,
        namespace=os.environ.get("VAULT_NAMESPACE"),
    )
    response = vault.secrets.kv.v2.read_secret_version(
        path=path, mount_point=mount, raise_on_deleted_version=True
    )
    secret: Mapping[str, object] = response["data"]["data"]
    return secret


class VaultSecretSettings(Configuration):
    """Reads the Vault secret after all other sources."""

    @classmethod
    def further_sources(cls) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the secret manager."""
        return (*super().further_sources(), secret_manager(cls))
