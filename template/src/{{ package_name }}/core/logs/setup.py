"""Logs on standard output: JSON in production, readable lines in development."""

import logging
import sys
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

from ..about import DISTRIBUTION
from ..settings import ServiceSettings
from .context import CONTEXT

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

log = structlog.stdlib.get_logger(__name__)

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
        # An exception is rendered later, and only as it is.
        if name != "exc_info":
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


def unfold_traceback(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Take a traceback that a server was handed as text as the exception it tells of."""
    text = str(event.get("event", ""))
    if text.startswith("Traceback (most recent call last)") and sys.exc_info()[0]:
        event["event"] = "application_failed"
        event["exc_info"] = sys.exc_info()
    return event


def configure_logging(settings: ServiceSettings) -> None:
    """Send everything, libraries included, through one handler in one format."""
    is_json = settings.log_format == "json" or (
        settings.log_format == "auto" and settings.is_production
    )
    shared: list[Processor] = [
        *CONTEXT,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        unfold_traceback,
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
    logging.captureWarnings(capture=True)


def log_crash(
    kind: type[BaseException],
    error: BaseException | None,
    traceback: TracebackType | None,
) -> None:
    """Log what ends the process; as Python does while nothing else is configured."""
    if issubclass(kind, KeyboardInterrupt) or not logging.getLogger().handlers:
        sys.__excepthook__(kind, error or kind(), traceback)
        return
    log.critical("crashed", exc_info=(kind, error, traceback))


def log_crashes() -> None:
    """Have everything logged that Python would write to the standard error otherwise.

    For processes of the service alone: a test runner has hooks of its own.
    """
    sys.excepthook = log_crash
    threading.excepthook = _log_thread_crash
    sys.unraisablehook = _log_ignored


def _log_thread_crash(crash: threading.ExceptHookArgs) -> None:
    trace = (crash.exc_type, crash.exc_value, crash.exc_traceback)
    name = crash.thread.name if crash.thread else None
    log.error("thread_crashed", thread=name, exc_info=trace)


def _log_ignored(ignored: "UnraisableHookArgs") -> None:
    trace = (ignored.exc_type, ignored.exc_value, ignored.exc_traceback)
    log.error("exception_ignored", message=ignored.err_msg, exc_info=trace)


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
