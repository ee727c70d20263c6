"""Entity tags: ETag on responses, and 304 for a copy that is still valid (RFC 9110).

The tag is a digest of the response's content, so no table needs a column for it, and
it changes with everything that the client sees. ``updated_at`` would not do: a new
field in the schema changes the response and leaves the moment as it is.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel

from ..errors import InvalidRequestError
from .endpoints import wraps_endpoint
from .problems import Responses, problem_responses

Schema = TypeVar("Schema", bound=BaseModel)

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
ENTITY_TAG = re.compile(_TAG)
ENTITY_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
"""A list as RFC 9110, section 5.6.1, defines it: empty members do not count."""

READ_HEADERS = {
    # Only the client itself may store the response, and must revalidate it each time.
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization",
}

LOCATION: dict[str, Any] = {
    "Location": {
        "description": "Path of the new record.",
        "schema": {"type": "string", "format": "uri-reference"},
    }
}
ETAG: dict[str, Any] = {
    "ETag": {
        "description": "Tag of the content of this response.",
        "schema": {"type": "string", "examples": ['"1"']},
    }
}
ON_CREATE: Responses = {201: {"headers": LOCATION | ETAG}}
ON_READ: Responses = {
    200: {"headers": ETAG},
    304: {"description": "Not modified", "headers": ETAG},
    **problem_responses(404),
}
ON_CHANGE: Responses = {200: {"headers": ETAG}, **problem_responses(404, 409)}
ON_DELETE = problem_responses(404, 409)


def entity_tag(content: BaseModel, body: bytes | None = None) -> str:
    """Return the content's own strong entity tag, such as its version, or a digest.

    Args:
        content: What is sent.
        body: The same as JSON, if it is known already.
    """
    own: Callable[[], str] | None = getattr(content, "entity_tag", None)
    if own is not None:
        return own()
    digest = hashlib.sha256(body or content.model_dump_json(by_alias=True).encode())
    return f'"{digest.hexdigest()[:32]}"'


def parse_entity_tags(name: str, lines: Sequence[str]) -> list[str] | None:
    """Parse a conditional header.

    Its lines together are one list. ``None`` stands for ``*``, which matches every tag.

    Raises:
        InvalidRequestError: the header is neither ``*`` nor a list of entity tags.
            To ignore it would be to overwrite what the client wants to keep.
    """
    text = ",".join(lines).strip(" \t")
    if text == "*":
        return None
    if not ENTITY_TAGS.fullmatch(text):
        message = f'{name} must be * or a list of entity tags, such as "1".'
        raise InvalidRequestError(message)
    return ENTITY_TAG.findall(text)


IF_NONE_MATCH: dict[str, Any] = {
    "name": "If-None-Match",
    "in": "header",
    "description": "Respond with 304 if this `ETag` is still the current one.",
    "schema": {"type": "string"},
}


def describe_conditional_reads(document: dict[str, Any]) -> None:
    """Add the header to the operations of an OpenAPI document that respond with 304."""
    for path in document.get("paths", {}).values():
        for operation in path.values():
            if "304" in operation["responses"]:
                operation.setdefault("parameters", []).append(IF_NONE_MATCH)


def conditional_get(
    endpoint: Callable[..., Awaitable[Schema]],
) -> Callable[..., Awaitable[Schema | Response]]:
    """Add ETag and caching headers to a GET route, and 304 on ``If-None-Match``."""

    @wraps_endpoint(endpoint)
    async def read(
        *, tag_request: Request, tag_response: Response, **arguments: object
    ) -> Schema | Response:
        copies: list[str] | None = []
        # Not a parameter: FastAPI would take longer to fill one than to read this.
        if lines := tag_request.headers.getlist("If-None-Match"):
            copies = parse_entity_tags("If-None-Match", lines)
        content = await endpoint(**arguments)
        # FastAPI would validate it again and build the same text a second time.
        body = content.model_dump_json(by_alias=True).encode()
        tag = entity_tag(content, body)
        headers = READ_HEADERS | {"ETag": tag}
        # Weak comparison: a proxy that compresses a response makes its tag a weak one.
        if copies is None or {tag, f"W/{tag}"} & set(copies):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        response = Response(body, headers=headers, media_type="application/json")
        response.raw_headers += tag_response.raw_headers
        return response

    return read


def tagged(
    endpoint: Callable[..., Awaitable[Schema]],
) -> Callable[..., Awaitable[Schema]]:
    """Add an ETag to a route that creates or changes a record."""

    @wraps_endpoint(endpoint)
    async def write(*, tag_response: Response, **arguments: object) -> Schema:
        content = await endpoint(**arguments)
        tag_response.headers["ETag"] = entity_tag(content)
        return content

    return write
