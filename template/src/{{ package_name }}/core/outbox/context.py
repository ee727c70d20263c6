"""The context that a message stores: the ids of the request and trace it comes from."""

from collections.abc import Callable, Mapping

REQUEST_ID = "request_id"

Source = Callable[[], Mapping[str, str]]

SOURCES: list[Source] = []
"""Further sources of context for new messages; tracing adds the ids of the trace."""


def message_context(request_id: str | None) -> dict[str, str]:
    """Return the fields that a job's log lines share with those of the request."""
    return {} if request_id is None else {REQUEST_ID: request_id}


def add_message_context(source: Source) -> None:
    """Register a source of context for all messages of the process, once."""
    if source not in SOURCES:
        SOURCES.append(source)


def current_context() -> dict[str, str]:
    """Return the context from all sources at this moment."""
    return {key: text for source in SOURCES for key, text in source().items()}
