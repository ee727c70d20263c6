"""The two layouts are one service: clients cannot distinguish them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.answers import Answers
from tests.commands import run
from tests.conftest import Render

pytestmark = pytest.mark.slow

PARTS: list[Answers] = [
    {"database": "postgresql", "auth": "jwt", "jobs": "taskiq"},
    {"database": "sqlite", "auth": "none"},
    {"database": "none", "auth": "none"},
]


def openapi(service: Path) -> dict[str, Any]:
    """Return a service's OpenAPI document."""
    run("uv", "sync", "--quiet", cwd=service)
    said = run("uv", "run", "--no-sync", "order-service", "openapi", cwd=service)
    document: dict[str, Any] = json.loads(said)
    return document


@pytest.mark.parametrize("parts", PARTS, ids=lambda parts: "-".join(parts.values()))
def test_both_layouts_publish_the_same_openapi_document(
    render: Render, tmp_path: Path, parts: Answers
) -> None:
    documents = []
    for layout in ("domain", "layered"):
        service = tmp_path / layout
        run("cp", "-R", render({**parts, "layout": layout}), service, cwd=tmp_path)
        documents.append(openapi(service))

    assert documents[0] == documents[1]
    assert "/api/v1/items" in documents[0]["paths"]
    assert ("/api/v1/auth/token" in documents[0]["paths"]) == (parts["auth"] == "jwt")
