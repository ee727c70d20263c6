"""The service's check for breaking changes of its API document."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from order_service.main import create_app
from order_service.settings import Settings
from order_service_dev.compatibility import breaking_changes

from ..feature import TRIAL, TRIALS, add_trials

Document = dict[str, Any]


@pytest.fixture(scope="module")
def current() -> Document:
    """Return the document of an application with trials."""
    app = create_app(Settings.for_schema())
    add_trials(app)
    document: Document = json.loads(json.dumps(app.openapi()))
    return document


def remove_operation(document: Document) -> None:
    """Remove an operation."""
    del document["paths"][TRIAL]["get"]


def remove_response_field(document: Document) -> None:
    """Remove a field of a response."""
    del document["components"]["schemas"]["TrialRead"]["properties"]["name"]


def require_field(document: Document) -> None:
    """Require a field that was optional."""
    document["components"]["schemas"]["TrialWrite"]["required"].append("note")


def tighten_limit(document: Document) -> None:
    """Lower a limit."""
    fields = document["components"]["schemas"]["TrialWrite"]["properties"]
    fields["name"]["maxLength"] = 10


def change_type(document: Document) -> None:
    """Change the type of a field."""
    fields = document["components"]["schemas"]["TrialRead"]["properties"]
    fields["amount"]["type"] = "string"


def require_parameter(document: Document) -> None:
    """Require a parameter that was optional."""
    parameters = document["paths"][TRIALS]["get"]["parameters"]
    for parameter in parameters:
        parameter["required"] = True


def drop_success(document: Document) -> None:
    """Change the status of a success."""
    responses = document["paths"][TRIALS]["post"]["responses"]
    responses["200"] = responses.pop("201")


@pytest.mark.parametrize(
    "break_document",
    [
        remove_operation,
        remove_response_field,
        require_field,
        tighten_limit,
        change_type,
        require_parameter,
        drop_success,
    ],
)
def test_breaking_change_is_reported(
    current: Document,
    break_document: Callable[[Document], None],
) -> None:
    broken = copy.deepcopy(current)
    break_document(broken)

    assert breaking_changes(current, broken)


def test_addition_is_compatible(current: Document) -> None:
    extended = copy.deepcopy(current)
    schemas = extended["components"]["schemas"]
    schemas["TrialRead"]["properties"]["colour"] = {"type": "string"}
    schemas["TrialWrite"]["properties"]["colour"] = {"type": "string"}
    extended["paths"]["/api/v1/colours"] = {"get": {"responses": {}}}

    assert breaking_changes(current, extended) == []
