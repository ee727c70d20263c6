"""The OpenAPI document keeps its promises."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fastapi import FastAPI


@pytest.fixture
def document(app: FastAPI) -> Mapping[str, Any]:
    """Give the OpenAPI document."""
    return app.openapi()


def operations(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give every operation of the document."""
    for path in document["paths"].values():
        yield from path.values()


def test_every_error_is_a_problem(document: Mapping[str, Any]) -> None:
    for operation in operations(document):
        for status, response in operation["responses"].items():
            if status.startswith(("4", "5")):
                assert list(response["content"]) == ["application/problem+json"]


def test_operation_ids_are_unique(document: Mapping[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations(document)]

    assert len(ids) == len(set(ids))


def test_secured_operations_can_answer_401(document: Mapping[str, Any]) -> None:
    for operation in operations(document):
        if operation.get("security"):
            assert "401" in operation["responses"]


def test_document_is_made_once(app: FastAPI) -> None:
    assert app.openapi() is app.openapi()
