"""Compare two OpenAPI documents: which changes would break existing clients.

Additions are compatible: requests may accept more, responses may contain more. All else
has to stay as it was.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]

UPPER_LIMITS = ("maximum", "maxLength", "maxItems", "exclusiveMaximum")
LOWER_LIMITS = ("minimum", "minLength", "minItems", "exclusiveMinimum")


def breaking_changes(old: Document, new: Document) -> list[str]:
    """List the changes that break a client written for the old document."""
    return list(_Comparison(old, new).operations())


@dataclass(frozen=True)
class _Comparison:
    old: Document
    new: Document

    def operations(self) -> Iterator[str]:
        for path, methods in self.old["paths"].items():
            for method, before in methods.items():
                where = f"{method.upper()} {path}"
                after = self.new["paths"].get(path, {}).get(method)
                if after is None:
                    yield f"{where} is gone"
                    continue
                if before.get("operationId") != after.get("operationId"):
                    yield f"{where} has another operationId"
                if after.get("security") and not before.get("security"):
                    yield f"{where} needs credentials now"
                yield from self.requests(where, before, after)
                yield from self.responses(where, before, after)

    def requests(self, where: str, before: Document, after: Document) -> Iterator[str]:
        yield from self.schemas(
            where, _parameters(before), _parameters(after), is_request=True
        )
        body = after.get("requestBody", {})
        earlier = before.get("requestBody", {})
        if body.get("required") and not earlier.get("required"):
            yield f"{where} requires a body now"
        content = earlier.get("content", {}), body.get("content", {})
        yield from self.contents(f"{where} body", *content, is_request=True)

    def responses(self, where: str, before: Document, after: Document) -> Iterator[str]:
        for status, response in before["responses"].items():
            current = after["responses"].get(status)
            if current is not None:
                content = response.get("content", {}), current.get("content", {})
                yield from self.contents(f"{where} {status}", *content)
            elif status.startswith("2"):
                yield f"{where} {status} is gone"

    def contents(
        self, where: str, before: Document, after: Document, *, is_request: bool = False
    ) -> Iterator[str]:
        for media_type, content in before.items():
            if media_type not in after:
                yield f"{where} can no longer be {media_type}"
                continue
            pair = content["schema"], after[media_type]["schema"]
            yield from self.schemas(where, *pair, is_request=is_request)

    def schemas(
        self,
        where: str,
        before: Document,
        after: Document,
        *,
        is_request: bool,
        seen: frozenset[str] = frozenset(),
    ) -> Iterator[str]:
        if (name := before.get("$ref")) in seen:
            return
        seen |= {name} if name else set()
        before, after = _resolved(before, self.old), _resolved(after, self.new)
        earlier, current = _kinds(before), _kinds(after)
        if lost := earlier - current if is_request else current - earlier:
            verb = "no longer takes" if is_request else "may return"
            yield f"{where} {verb} {', '.join(sorted(lost))}"
        if is_request:
            yield from _limits(where, before, after)
        yield from _fields(where, before, after, is_request=is_request)
        nested = [
            (f"{where}.{name}", schema, after.get("properties", {}).get(name))
            for name, schema in before.get("properties", {}).items()
        ]
        nested.append((f"{where}[]", before.get("items"), after.get("items")))
        for place, old, new in nested:
            if old and new:
                yield from self.schemas(
                    place, old, new, is_request=is_request, seen=seen
                )


def _parameters(operation: Document) -> Document:
    """Return the parameters as the fields of one object."""
    parameters = {
        f"{parameter['name']} ({parameter['in']})": parameter
        for parameter in operation.get("parameters", [])
    }
    required = [name for name in parameters if parameters[name].get("required")]
    schemas = {name: parameters[name]["schema"] for name in parameters}
    return {"properties": schemas, "required": required}


def _resolved(schema: Document, document: Document) -> Document:
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].rpartition("/")[2]
    resolved: Document = document["components"]["schemas"][name]
    return resolved


def _kinds(schema: Document) -> set[str]:
    """Return the types, formats and fixed values that a schema allows."""
    if "anyOf" in schema:
        return set().union(*(_kinds(option) for option in schema["anyOf"]))
    if "enum" in schema:
        return {repr(choice) for choice in schema["enum"]}
    kind = schema.get("type", schema.get("$ref", "anything"))
    return {f"{kind} ({schema['format']})" if "format" in schema else str(kind)}


def _limits(where: str, before: Document, after: Document) -> Iterator[str]:
    for limit in UPPER_LIMITS:
        if limit in after and after[limit] < before.get(limit, float("inf")):
            yield f"{where} has a smaller {limit}"
    for limit in LOWER_LIMITS:
        if limit in after and after[limit] > before.get(limit, float("-inf")):
            yield f"{where} has a larger {limit}"
    if "pattern" in after and after["pattern"] != before.get("pattern"):
        yield f"{where} has another pattern"


def _fields(
    where: str, before: Document, after: Document, *, is_request: bool
) -> Iterator[str]:
    gone = before.get("properties", {}).keys() - after.get("properties", {}).keys()
    for field in sorted(gone):
        yield f"{where}.{field} is gone"
    earlier, current = set(before.get("required", [])), set(after.get("required", []))
    if is_request:
        for field in sorted(current - earlier):
            yield f"{where}.{field} is required now"
    else:
        for field in sorted(earlier - current - gone):
            yield f"{where}.{field} may be missing now"
