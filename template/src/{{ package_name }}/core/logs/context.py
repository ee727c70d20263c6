"""The fields of every log line that name its request, job or trace."""

from collections.abc import MutableMapping
from typing import Any

from structlog.contextvars import merge_contextvars
from structlog.typing import Processor

SOURCES: list[Processor] = [merge_contextvars]
"""Bound fields, such as the request id; a capability can add more, such as trace ids."""


def add_log_context(source: Processor) -> None:
    """Have a processor add fields to every line; once is enough for the process."""
    if source not in SOURCES:
        SOURCES.append(source)


def merge_context(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the fields of all sources."""
    for source in SOURCES:
        source(logger, method, event)
    return event
