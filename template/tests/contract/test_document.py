"""The OpenAPI document keeps the promises that are made to every client."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI

OPEN = {
    ("get", "/health"),
    ("get", "/health/live"),
    ("get", "/health/ready"),
    ("post", "/api/v1/auth/token"),
    ("post", "/api/v1/auth/refresh"),
    ("post", "/api/v1/auth/logout"),
    ("post", "/api/v1/users"),
}
"""The operations that need no credentials; every other one does, if any does."""

SINGULAR = {"api", "auth", "health", "live", "logout", "me", "password", "ready"}
SINGULAR |= {"refresh", "token", "v1"}
"""The words of a path that do not name a collection."""

CREDENTIALS = re.compile(r"password|secret|hash|digest|api_key")
"""What no answer shows, except the answers whose purpose it is."""

GIVEN_ONCE = {
    "TokenPair.access_token",
    "TokenPair.refresh_token",
}


class Operation(NamedTuple):
    """One thing that the API can do."""

    method: str
    path: str
    content: Mapping[str, Any]

    def __str__(self) -> str:
        """Name the operation as a client would."""
        return f"{self.method.upper()} {self.path}"


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    """Give every operation of the document."""
    for path, methods in document["paths"].items():
        for method, content in methods.items():
            yield Operation(method, path, content)


@pytest.fixture
def document(app: FastAPI) -> Mapping[str, Any]:
    """Give the OpenAPI document."""
    return app.openapi()


def test_every_business_operation_says_how_it_fails(
    document: Mapping[str, Any],
) -> None:
    for operation in operations(document):
        if operation.path.startswith("/api/"):
            assert {"422", "500", "503"} <= set(operation.content["responses"]), (
                operation
            )


def test_methods_answer_as_their_names_promise(document: Mapping[str, Any]) -> None:
    for operation in operations(document):
        statuses = set(operation.content["responses"])
        assert operation.method in {"get", "post", "put", "patch", "delete"}, operation
        if operation.method == "delete":
            assert "204" in statuses, operation
        if operation.method in {"get", "delete"}:
            assert "requestBody" not in operation.content, operation
        if "{" in operation.path:
            assert "404" in statuses, operation


def test_paths_are_nouns_and_collections_are_plural(
    document: Mapping[str, Any],
) -> None:
    for path in document["paths"]:
        assert not path.endswith("/")
        for word in path.strip("/").split("/"):
            if not word.startswith("{") and word not in SINGULAR:
                assert re.fullmatch(r"[a-z][a-z0-9-]*s", word), path


def test_lists_are_pages_with_a_limit(document: Mapping[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for operation in operations(document):
        content = operation.content["responses"].get("200", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        assert schema.get("type") != "array", f"{operation} answers with a bare list"
        name = schema.get("$ref", "").rpartition("/")[2]
        if "items" in schemas.get(name, {}).get("properties", {}):
            parameters = {
                parameter["name"]: parameter["schema"]
                for parameter in operation.content["parameters"]
            }
            assert parameters["limit"]["maximum"] <= 100, operation
            assert "cursor" in parameters, operation


def test_everything_but_the_listed_needs_credentials(
    document: Mapping[str, Any],
) -> None:
    if not document["components"].get("securitySchemes"):
        pytest.skip("this service is open to everyone who reaches it")
    for operation in operations(document):
        is_open = operation[:2] in OPEN
        assert is_open is not bool(operation.content.get("security")), operation
        if not is_open:
            assert "401" in operation.content["responses"], operation


def test_no_answer_shows_a_credential(document: Mapping[str, Any]) -> None:
    for name in answered_schemas(document):
        for field in document["components"]["schemas"][name].get("properties", {}):
            if f"{name}.{field}" not in GIVEN_ONCE:
                assert not CREDENTIALS.search(field), f"{name}.{field}"


def test_answers_with_tokens_are_all_listed(document: Mapping[str, Any]) -> None:
    for name in answered_schemas(document):
        for field in document["components"]["schemas"][name].get("properties", {}):
            if field.endswith("token"):
                assert f"{name}.{field}" in GIVEN_ONCE


def answered_schemas(document: Mapping[str, Any]) -> set[str]:
    """Name every schema that some answer contains, at any depth."""
    found: set[str] = set()
    waiting = [
        response.get("content", {})
        for operation in operations(document)
        for response in operation.content["responses"].values()
    ]
    while waiting:
        for name in re.findall(r"'#/components/schemas/([^']+)'", str(waiting.pop())):
            if name not in found:
                found.add(name)
                waiting.append(document["components"]["schemas"][name])
    return found
