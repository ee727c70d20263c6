"""Settings from AWS Secrets Manager: one secret, a JSON object of settings."""

import os
from collections.abc import Mapping

from boto3 import client
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic_settings import (
    AWSSecretsManagerSettingsSource,
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsError,
)

from ..configuration import Configuration

LIMITS = Config(
    connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2}
)  # By default a start could hang for minutes.

INVALID_SECRET_ERRORS = (AttributeError, KeyError, ValueError)


class LimitedSource(AWSSecretsManagerSettingsSource):
    """Pydantic's source, with limits to how long the manager may take."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        region = self._secretsmanager_client.meta.region_name
        self._secretsmanager_client = client(
            "secretsmanager", region_name=region, config=LIMITS
        )
        return super()._load_env_vars()


def secret_manager(settings_cls: type[BaseSettings]) -> PydanticBaseSettingsSource:
    """Return the settings in the secret that AWS_SECRET_ID names; without it, none.

    Region, credentials and endpoint are found where AWS's own tools find them.

    Raises:
        SettingsError: the secret cannot be read; the message holds no value.
    """
    secret_id = os.environ.get("AWS_SECRET_ID")
    if not secret_id:
        return InitSettingsSource(settings_cls, {})
    try:
        return LimitedSource(
            settings_cls,
            secret_id,
            # Containers on AWS get the first name, its Python library reads the other.
            region_name=os.environ.get("AWS_REGION"),
            case_sensitive=False,
        )
    except ClientError as error:
        reason = str(error.response.get("Error", {}).get("Code"))
    except BotoCoreError as error:
        reason = type(error).__name__
    except INVALID_SECRET_ERRORS:
        reason = "it is not a JSON object"
    message = f"AWS_SECRET_ID: Secrets Manager did not give the secret ({reason})"
    raise SettingsError(message) from None


class AwsSecretSettings(Configuration):
    """Reads the AWS secret after all other sources."""

    @classmethod
    def further_sources(cls) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the secret manager."""
        return (*super().further_sources(), secret_manager(cls))
