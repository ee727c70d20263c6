"""Logs on standard output: JSON in production, readable lines in development."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

from .about import DISTRIBUTION
from .settings import ServiceSettings

HIDDEN = "[hidden]"

SECRET_WORDS = ("password", "secret", "token", "authorization", "cookie", "api_key")
"""A field whose name contains one of these is never written out."""

QUIET_LOGGERS = ("httpx2", "httpcore2", "asyncio")
"""They log every URL, and URLs carry what must not be kept."""


def hide_secrets(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace what a field's name says is a secret, at any depth."""
    for name, content in event.items():
        event[name] = _hidden(name, content)
    return event


def _hidden(name: str, content: object) -> object:
    if any(word in name.lower() for word in SECRET_WORDS):
        return HIDDEN
    if isinstance(content, dict):
        return {key: _hidden(str(key), inner) for key, inner in content.items()}
    if isinstance(content, list | tuple):
        return [_hidden("", inner) for inner in content]
    return content


def name_service(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Say which service wrote the line, and drop uvicorn's second copy of it."""
    event.setdefault("service", DISTRIBUTION)
    event.pop("color_message", None)
    return event


def configure_logging(settings: ServiceSettings) -> None:
    """Send everything, libraries included, through one handler in one format."""
    is_json = settings.log_format == "json" or (
        settings.log_format == "auto" and settings.is_production
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_service,
        hide_secrets,
    ]
    structlog.configure(
        processors=[*shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                ProcessorFormatter.remove_processors_meta,
                *(_json_processors() if is_json else _console_processors()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def _json_processors() -> list[Processor]:
    # Local variables in a traceback are where passwords hide.
    transformer = ExceptionDictTransformer(show_locals=False)
    return [
        structlog.processors.ExceptionRenderer(transformer),
        structlog.processors.JSONRenderer(),
    ]


def _console_processors() -> list[Processor]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
        )
    ]
