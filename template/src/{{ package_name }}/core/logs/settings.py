"""Settings of the log."""

from typing import Literal

from ..configuration import Configuration

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class LogSettings(Configuration):
    """What is logged, and how it looks."""

    log_level: LogLevel = "INFO"
    """The least important events that are still logged."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """``auto`` is JSON in production and readable lines everywhere else."""
