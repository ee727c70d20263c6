"""The API changes only in ways that its clients can live with.

`openapi.json` beside this file is the document that clients were written against.
The first run of the tests writes it: commit it. A change that only adds is taken
over by `uv run poe openapi`; one that breaks clients needs a new version of the API,
or the word of everybody who uses it and `uv run poe openapi --break`.
"""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from .compatibility import breaking_changes
from .document import committed_document, current_document

Document = dict[str, Any]


@pytest.fixture(scope="module")
def current() -> Document:
    """Give the document of the application as it is."""
    return current_document()


@pytest.fixture(scope="module")
def committed() -> Document:
    """Give the document that clients know."""
    return committed_document()


def test_document_is_the_committed_one(committed: Document, current: Document) -> None:
    assert current == committed, "Run `uv run poe openapi` and commit what it changes."


def test_no_change_breaks_a_client(committed: Document, current: Document) -> None:
    assert breaking_changes(committed, current) == []


def remove_operation(document: Document) -> None:
    """Take an operation away."""
    del document["paths"]["/api/v1/items/{item_id}"]["get"]


def remove_answered_field(document: Document) -> None:
    """Leave out what answers said."""
    del document["components"]["schemas"]["ItemRead"]["properties"]["name"]


def require_field(document: Document) -> None:
    """Ask for what was optional."""
    document["components"]["schemas"]["ItemWrite"]["required"].append("description")


def tighten_limit(document: Document) -> None:
    """Take less than before."""
    fields = document["components"]["schemas"]["ItemWrite"]["properties"]
    fields["name"]["maxLength"] = 10


def change_type(document: Document) -> None:
    """Answer with another type."""
    fields = document["components"]["schemas"]["ItemRead"]["properties"]
    fields["price_cents"]["type"] = "string"


def require_parameter(document: Document) -> None:
    """Ask for a parameter that was optional."""
    parameters = document["paths"]["/api/v1/items"]["get"]["parameters"]
    for parameter in parameters:
        parameter["required"] = True


def drop_success(document: Document) -> None:
    """Answer with another status."""
    answers = document["paths"]["/api/v1/items"]["post"]["responses"]
    answers["200"] = answers.pop("201")


@pytest.mark.parametrize(
    "break_document",
    [
        remove_operation,
        remove_answered_field,
        require_field,
        tighten_limit,
        change_type,
        require_parameter,
        drop_success,
    ],
)
def test_breaking_change_is_noticed(
    current: Document, break_document: Callable[[Document], None]
) -> None:
    broken = copy.deepcopy(current)
    break_document(broken)

    assert breaking_changes(current, broken)


def test_addition_breaks_nobody(current: Document) -> None:
    extended = copy.deepcopy(current)
    schemas = extended["components"]["schemas"]
    schemas["ItemRead"]["properties"]["colour"] = {"type": "string"}
    schemas["ItemWrite"]["properties"]["colour"] = {"type": "string"}
    extended["paths"]["/api/v1/colours"] = {"get": {"responses": {}}}

    assert breaking_changes(current, extended) == []
