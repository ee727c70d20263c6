"""Settings of error reports."""

from pydantic import SecretStr, field_validator
from sentry_sdk.utils import Dsn

from ..configuration import Configuration


class ErrorReportSettings(Configuration):
    """The Sentry project for error reports."""

    sentry_dsn: SecretStr = SecretStr("")
    """The Sentry project that errors are reported to: ``https://key@host/number``."""

    @field_validator("sentry_dsn")
    @classmethod
    def refuse_other_dsns(cls, dsn: SecretStr) -> SecretStr:
        """Refuse an invalid DSN."""
        try:
            Dsn(dsn.get_secret_value() or "https://key@localhost/0")
        except ValueError:
            message = "must look like https://key@host/number"
            raise ValueError(message) from None
        return dsn
