"""What in a newer OpenAPI document would break a client of an older one.

The rules are those of additive change: requests may accept more, answers may say
more, and whatever was there stays as it was.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]
Documents = tuple[Document, Document]
"""The older document and the newer one, to look up what a reference names."""

LIMITS_FROM_ABOVE = ("maximum", "maxLength", "maxItems", "exclusiveMaximum")
LIMITS_FROM_BELOW = ("minimum", "minLength", "minItems", "exclusiveMinimum")


def breaking_changes(old: Document, new: Document) -> list[str]:
    """List what a client that was written against the old document would trip over."""
    return list(_operations((old, new)))


def _operations(documents: Documents) -> Iterator[str]:
    old, new = documents
    for path, methods in old["paths"].items():
        for method, operation in methods.items():
            where = f"{method.upper()} {path}"
            current = new["paths"].get(path, {}).get(method)
            if current is None:
                yield f"{where} is gone"
                continue
            if operation.get("operationId") != current.get("operationId"):
                yield f"{where} has another operationId"
            if current.get("security") and not operation.get("security"):
                yield f"{where} needs credentials now"
            yield from _parameters(where, operation, current, documents)
            yield from _bodies(where, operation, current, documents)
            yield from _answers(where, operation, current, documents)


def _parameters(
    where: str, before: Document, after: Document, documents: Documents
) -> Iterator[str]:
    known = {_key(parameter): parameter for parameter in before.get("parameters", [])}
    current = {_key(parameter): parameter for parameter in after.get("parameters", [])}
    for key, parameter in current.items():
        earlier = known.get(key)
        if earlier is None:
            if parameter.get("required"):
                yield f"{where} requires the new parameter {key[1]}"
            continue
        if parameter.get("required") and not earlier.get("required"):
            yield f"{where} requires the parameter {key[1]} now"
        yield from _schema(
            f"{where} {key[1]}",
            earlier["schema"],
            parameter["schema"],
            documents,
            is_request=True,
        )
    for key in known.keys() - current.keys():
        yield f"{where} no longer takes the parameter {key[1]}"


def _key(parameter: Document) -> tuple[str, str]:
    return parameter["in"], parameter["name"]


def _bodies(
    where: str, before: Document, after: Document, documents: Documents
) -> Iterator[str]:
    earlier = before.get("requestBody", {}).get("content", {})
    current = after.get("requestBody", {}).get("content", {})
    if current and not earlier and after["requestBody"].get("required"):
        yield f"{where} requires a body now"
    for media_type, content in earlier.items():
        if media_type not in current:
            yield f"{where} no longer takes {media_type}"
            continue
        yield from _schema(
            f"{where} body",
            content["schema"],
            current[media_type]["schema"],
            documents,
            is_request=True,
        )


def _answers(
    where: str, before: Document, after: Document, documents: Documents
) -> Iterator[str]:
    for status, response in before["responses"].items():
        current = after["responses"].get(status)
        if current is None:
            if status.startswith("2"):
                yield f"{where} no longer answers {status}"
            continue
        for media_type, content in response.get("content", {}).items():
            if media_type not in current.get("content", {}):
                yield f"{where} no longer answers {status} with {media_type}"
                continue
            yield from _schema(
                f"{where} {status}",
                content["schema"],
                current["content"][media_type]["schema"],
                documents,
                is_request=False,
            )


def _schema(
    where: str,
    before: Document,
    after: Document,
    documents: Documents,
    *,
    is_request: bool,
    seen: frozenset[str] = frozenset(),
) -> Iterator[str]:
    name = str(before.get("$ref"))
    if name in seen:
        return
    seen |= {name} - {"None"}
    before, after = _resolved(before, documents[0]), _resolved(after, documents[1])
    yield from _types(where, before, after, is_request=is_request)
    if is_request:
        yield from _limits(where, before, after)
    if "items" in before and "items" in after:
        yield from _schema(
            f"{where}[]",
            before["items"],
            after["items"],
            documents,
            is_request=is_request,
            seen=seen,
        )
    fields, current = before.get("properties", {}), after.get("properties", {})
    yield from _fields(where, before, after, is_request=is_request)
    for field in fields.keys() & current.keys():
        yield from _schema(
            f"{where}.{field}",
            fields[field],
            current[field],
            documents,
            is_request=is_request,
            seen=seen,
        )


def _resolved(schema: Document, document: Document) -> Document:
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].rpartition("/")[2]
    resolved: Document = document["components"]["schemas"][name]
    return resolved


def _types(
    where: str, before: Document, after: Document, *, is_request: bool
) -> Iterator[str]:
    earlier, current = _kinds(before), _kinds(after)
    lost = earlier - current if is_request else current - earlier
    if lost:
        verb = "no longer takes" if is_request else "may answer"
        yield f"{where} {verb} {', '.join(sorted(lost))}"


def _kinds(schema: Document) -> set[str]:
    """Name the types, formats and fixed values that a schema allows."""
    if "anyOf" in schema:
        return set().union(*(_kinds(option) for option in schema["anyOf"]))
    if "enum" in schema:
        return {repr(choice) for choice in schema["enum"]}
    kind = schema.get("type", schema.get("$ref", "anything"))
    return {f"{kind} ({schema['format']})" if "format" in schema else str(kind)}


def _limits(where: str, before: Document, after: Document) -> Iterator[str]:
    for limit in LIMITS_FROM_ABOVE:
        if limit in after and after[limit] < before.get(limit, float("inf")):
            yield f"{where} has a smaller {limit}"
    for limit in LIMITS_FROM_BELOW:
        if limit in after and after[limit] > before.get(limit, float("-inf")):
            yield f"{where} has a larger {limit}"
    if "pattern" in after and after["pattern"] != before.get("pattern"):
        yield f"{where} has another pattern"


def _fields(
    where: str, before: Document, after: Document, *, is_request: bool
) -> Iterator[str]:
    known, current = before.get("properties", {}), after.get("properties", {})
    for field in known.keys() - current.keys():
        yield f"{where} no longer has the field {field}"
    required, needed = set(before.get("required", [])), set(after.get("required", []))
    if is_request:
        for field in needed - required:
            yield f"{where} requires the field {field} now"
    else:
        for field in (required - needed) & current.keys():
            yield f"{where} may leave out the field {field} now"
