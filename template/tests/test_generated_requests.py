"""Requests generated from the OpenAPI document get the responses that it describes.

These are a few requests for each operation, the same ones in each run. `uv run poe fuzz`
sends many more, and other ones each time.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx2
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode, openapi
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

REQUESTS = os.environ.get("GENERATED_REQUESTS")
"""How many valid and how many invalid requests each operation gets, instead of a few."""

AnyCase = Case[Any]

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


def generate(app: FastAPI) -> Iterator[AnyCase]:
    """Generate valid and invalid requests for each operation."""
    schema = openapi.from_dict(app.openapi())
    results = schema.get_all_operations()
    operations = [result.ok() for result in results if isinstance(result, Ok)]
    # The user who sends the requests can delete the own account, but only at the end.
    for operation in sorted(operations, key=lambda each: each.method == "delete"):
        for mode in GenerationMode:
            yield from draw(operation.as_strategy(generation_mode=mode))


def draw(strategy: SearchStrategy[AnyCase]) -> list[AnyCase]:
    """Draw a few requests."""
    cases: list[AnyCase] = []

    @settings(
        max_examples=int(REQUESTS or 5),
        derandomize=REQUESTS is None,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def collect(case: AnyCase) -> None:
        cases.append(case)

    # An operation without parameters and body has no invalid requests.
    with suppress(Unsatisfiable):
        collect()
    return cases


async def test_responses_are_as_documented(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    failures = []

    for case in generate(app):
        request = case.as_transport_kwargs(base_url=str(client.base_url))
        request.pop("cookies")
        if isinstance(request.get("data"), bytes | str):
            request["content"] = request.pop("data")
        response = await client.request(**request)
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as failure:
            failures.append(str(failure))

    assert not failures, "\n\n".join(failures)
