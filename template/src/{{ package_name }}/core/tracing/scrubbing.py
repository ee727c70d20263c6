"""Scrubs exported spans: names, numbers and timings, never a value.

Instrumentation records whole URLs with their queries, the text of SQL, database users
and error messages. So only the attributes that are listed here are exported.
"""

import re
from collections.abc import Mapping, Sequence
from typing import overload
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, Status
from opentelemetry.util.types import Attributes, AttributeValue

from ..export.redaction import HIDDEN, redacted

OWN_PREFIXES = ("app.", "messaging.")
"""Attributes that the service sets. Texts are redacted, because an attribute is easily
set."""

REQUEST_ATTRIBUTES = frozenset(
    {
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "network.protocol.version",
        "url.scheme",
    }
)
"""Attributes of a request to the service. Its path, query and Host are the caller's
input: ``http.route`` names the route, and the log has the path."""

CALL_ATTRIBUTES: Mapping[str, str] = {
    "db.name": "db.namespace",
    "db.namespace": "db.namespace",
    "db.redis.database_index": "db.namespace",
    "db.redis.pipeline_length": "db.operation.batch.size",
    "db.operation.batch.size": "db.operation.batch.size",
    "db.system": "db.system.name",
    "db.system.name": "db.system.name",
    "error.type": "error.type",
    "http.method": "http.request.method",
    "http.request.method": "http.request.method",
    "http.request.resend_count": "http.request.resend_count",
    "http.response.status_code": "http.response.status_code",
    "http.status_code": "http.response.status_code",
    "net.peer.name": "server.address",
    "net.peer.port": "server.port",
    "network.protocol.version": "network.protocol.version",
    "server.address": "server.address",
    "server.port": "server.port",
}
"""Attributes of a call to another system, by their stable names: contrib's
instrumentation uses the old names unless a variable of the process is set."""

STATEMENTS = ("db.query.text", "db.statement")
URLS = ("http.url", "url.full")
DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST_NAME = 50
LONGEST_STATEMENT = 2_000

LITERALS = re.compile(
    r"'(?:[^']|'')*'"  # text
    r"|\$([A-Za-z_]*)\$.*?\$\1\$"  # PostgreSQL's other way to write text
    r"|(?<![\w$:.])\d+(?:\.\d+)?\b",  # numbers, but not the parameter $1
    re.DOTALL,
)


def scrubbed(span: ReadableSpan) -> ReadableSpan:
    """Copy a span with only the attributes that are listed above."""
    scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
    attributes = span.attributes or {}
    if scope == "fastapi":
        name = span.name
        kept = {key: attributes[key] for key in REQUEST_ATTRIBUTES & attributes.keys()}
    elif scope.startswith("opentelemetry.instrumentation."):
        # After the operation there may be a file path, or a whole pipeline.
        name = span.name.partition(" ")[0][:LONGEST_NAME]
        kept = _of_call(attributes)
    else:
        name = redacted(span.name)
        kept = {key: attributes[key] for key in {"error.type"} & attributes.keys()}
    return ReadableSpan(
        name=name,
        context=_bare(span.context),
        parent=_bare(span.parent),
        resource=span.resource,
        attributes=kept | _own(attributes),
        events=[_scrubbed_event(event) for event in span.events],
        links=[Link(_bare(link.context), _own(link.attributes)) for link in span.links],
        kind=span.kind,
        # The description contains the error message.
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


@overload
def _bare(context: SpanContext) -> SpanContext: ...
@overload
def _bare(context: SpanContext | None) -> SpanContext | None: ...
def _bare(context: SpanContext | None) -> SpanContext | None:
    """Keep the ids, but not the trace state that a caller has sent."""
    if context is None:
        return None
    return SpanContext(
        context.trace_id, context.span_id, context.is_remote, context.trace_flags
    )


def _of_call(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    kept = {
        CALL_ATTRIBUTES[key]: content
        for key, content in attributes.items()
        if key in CALL_ATTRIBUTES
    }
    for key in STATEMENTS:
        if key in attributes:
            kept |= _statement(str(attributes[key]), kept.get("db.system.name"))
    for key in URLS:
        if key in attributes:
            kept |= _origin(str(attributes[key]))
    if "db.namespace" in kept:
        kept["db.namespace"] = str(kept["db.namespace"])
    return kept


def _statement(text: str, system: object) -> dict[str, AttributeValue]:
    words = text.split(maxsplit=1)
    if not words:
        return {}
    # Redis commands have no placeholders: every argument is a key or content.
    if system == "redis":
        return {"db.operation.name": words[0]}
    text = LITERALS.sub("?", text)
    # An unterminated quotation: the rest cannot be distinguished from a value.
    text = text.partition("'")[0]
    return {
        "db.operation.name": words[0].upper(),
        "db.query.text": text[:LONGEST_STATEMENT],
    }


def _origin(url: str) -> dict[str, AttributeValue]:
    """Keep where a URL leads: its path can be a secret, as with webhooks."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return {}
    kept: dict[str, AttributeValue] = {"url.scheme": parts.scheme}
    if host:
        kept["server.address"] = host
        kept["url.full"] = f"{parts.scheme}://{host}/{HIDDEN}"
    if port:
        kept["server.port"] = port
    return kept


def _own(attributes: Attributes) -> dict[str, AttributeValue]:
    return {
        key: redacted(str(content)) if isinstance(content, str | Sequence) else content
        for key, content in (attributes or {}).items()
        if key.startswith(OWN_PREFIXES)
    }


def _scrubbed_event(event: Event) -> Event:
    kept = _own(event.attributes)
    if event.attributes and "exception.type" in event.attributes:
        # Without the message and the stack, which are in the log.
        kept["exception.type"] = event.attributes["exception.type"]
    return Event(redacted(event.name), kept, event.timestamp)
