"""Logs on standard output: JSON in production, readable lines in development."""

import logging
import sys
import threading
from collections.abc import MutableMapping
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

from ..about import DISTRIBUTION
from .context import merge_context
from .settings import LogSettings

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

log = structlog.stdlib.get_logger(__name__)

Event = MutableMapping[str, Any]

HIDDEN = "[hidden]"

SECRET_WORDS = ("password", "secret", "token", "authorization", "cookie", "api_key")
"""A field whose name contains one of these is never logged."""

QUIET_LOGGERS = ("httpx2", "httpcore2", "asyncio")
"""They log every URL, and URLs contain secrets."""


def hide_secrets(logger: object, method: str, event: Event) -> Event:
    """Replace fields whose names mark them as secret, at any depth."""
    # An exception is rendered later, from the object itself.
    return {
        name: content if name == "exc_info" else _hidden(name, content)
        for name, content in event.items()
    }


def _hidden(name: str, content: object) -> object:
    if _is_secret(name):
        return HIDDEN
    if isinstance(content, dict):
        return {key: _hidden(str(key), inner) for key, inner in content.items()}
    if isinstance(content, list | tuple):
        return [_hidden("", inner) for inner in content]
    return content


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in SECRET_WORDS)


def adapt_event(logger: object, method: str, event: Event) -> Event:
    """Add the service's name, and clean the events of uvicorn."""
    event.setdefault("service", DISTRIBUTION)
    event.pop("color_message", None)
    # Uvicorn passes some tracebacks as text: log the exception itself instead.
    text = str(event.get("event", ""))
    if text.startswith("Traceback (most recent call last)") and sys.exc_info()[0]:
        event["event"] = "application_failed"
        event["exc_info"] = sys.exc_info()
    return event


SHARED: list[Processor] = [
    merge_context,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    adapt_event,
    hide_secrets,
]
"""What is done with every event, those of libraries included."""

PROCESSORS = [*SHARED, ProcessorFormatter.wrap_for_formatter]


def configure_logging(settings: LogSettings) -> None:
    """Log everything, libraries included, through one handler in one format."""
    structlog.configure(
        # The same list each time: loggers keep it, see `cache_logger_on_first_use`.
        processors=PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    is_json = settings.log_format == "json" or (
        settings.log_format == "auto" and settings.is_production
    )
    if is_json:
        # Local variables in a traceback may be passwords.
        exceptions = ExceptionDictTransformer(show_locals=False)
        rendering: list[Processor] = [
            structlog.processors.ExceptionRenderer(exceptions),
            structlog.processors.JSONRenderer(),
        ]
    else:
        rendering = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stdout.isatty(),
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=SHARED,
            processors=[ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    # Nothing prints these, and each line would look them up.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
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
    """Log an error that ends the process; before logging is configured, as Python does."""
    if issubclass(kind, KeyboardInterrupt) or not logging.getLogger().handlers:
        sys.__excepthook__(kind, error or kind(), traceback)
        return
    log.critical("crashed", exc_info=(kind, error, traceback))


def log_crashes() -> None:
    """Log what Python would otherwise write to standard error.

    Only for the service's own processes: a test runner has its own hooks.
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
