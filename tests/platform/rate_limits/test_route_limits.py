"""A route's further limits are counted with the default one, in one step."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Annotated

import httpx2
import pytest
from fastapi import APIRouter, Depends
from starlette.types import ASGIApp

from order_service.core.rate_limits.middleware import rate_limit
from order_service.main import create_app
from order_service.settings import Settings

from ..clients import client_of, running

ADDRESSES = count(1)
POLICY = '"default";q=9;w=60, "exports";q=2;w=60'

router = APIRouter(prefix="/outer")
inner = APIRouter(prefix="/inner")
mounted = APIRouter()


class Nested:
    """A dependency that has the limit as a dependency of its own."""

    def __init__(self, limit: Annotated[None, rate_limit("exports")]) -> None:
        """Take what the limit returns."""
        self.limit = limit


@inner.get("/nested/{word}")
@mounted.get("/route", dependencies=[rate_limit("exports")])
@router.get("/route/{word}", dependencies=[rate_limit("exports")])
@router.get("/dependency", dependencies=[Depends(Nested)])
@router.get("/twice", dependencies=[rate_limit("exports"), rate_limit("exports")])
@router.get("/reports/{word}", dependencies=[rate_limit("exports")])
@router.get("/reports/summary")
async def say(word: str = "nothing") -> str:
    """Respond from any of these routes."""
    return word


@router.post("/exports", dependencies=[rate_limit("exports")])
async def export(data: dict[str, str]) -> dict[str, str]:
    """Return the body."""
    return data


router.include_router(inner, dependencies=[rate_limit("exports")])


@pytest.fixture(scope="module")
async def strict(module_settings: Settings) -> AsyncIterator[ASGIApp]:
    """Run a service with a limit of nine requests a minute, and of two exports."""
    rates = {"rate_limit_default": "9/minute", "rate_limit_exports": "2/minute"}
    app = create_app(module_settings.model_copy(update=rates))
    app.include_router(router)
    app.mount("/mounted", mounted)
    async with running(app) as service:
        yield service


@pytest.fixture
async def client(strict: ASGIApp) -> AsyncIterator[httpx2.AsyncClient]:
    """Open a client with an address that has sent no request yet."""
    async with client_of(strict, f"192.0.2.{next(ADDRESSES)}") as client:
        yield client


@pytest.mark.parametrize(
    "path",
    [
        "/outer/route/hello",
        "/outer/inner/nested/hello",
        "/outer/dependency",
        "/outer/twice",
        "/outer/reports/month",
        "/mounted/route",
    ],
)
async def test_further_limit_applies_wherever_it_is_declared(
    client: httpx2.AsyncClient, path: str
) -> None:
    responses = [await client.get(path) for _ in range(3)]

    assert [response.status_code for response in responses] == [200, 200, 429]
    for response in responses:
        assert response.headers["RateLimit-Policy"] == POLICY
    assert ', "exports";r=1;' in responses[0].headers["RateLimit"]
    assert ', "exports";r=0;' in responses[1].headers["RateLimit"]
    assert (await client.get("/outer/reports/summary")).status_code == 200


async def test_earlier_route_of_the_same_path_has_no_further_limit(
    client: httpx2.AsyncClient,
) -> None:
    responses = [await client.get("/outer/reports/summary") for _ in range(3)]

    assert [response.status_code for response in responses] == [200] * 3
    assert responses[0].headers["RateLimit-Policy"] == '"default";q=9;w=60'


async def test_other_method_of_the_same_path_has_no_further_limit(
    client: httpx2.AsyncClient,
) -> None:
    responses = [await client.get("/outer/exports") for _ in range(3)]

    assert [response.status_code for response in responses] == [405] * 3
    assert responses[0].headers["RateLimit-Policy"] == '"default";q=9;w=60'


async def test_refused_request_is_counted_in_no_limit(client: httpx2.AsyncClient) -> None:
    for _ in range(2):
        await client.get("/outer/route/hello")

    refused = [await client.get("/outer/route/hello") for _ in range(9)]
    passed = await client.get("/outer/reports/summary")

    assert {response.status_code for response in refused} == {429}
    assert {response.headers["RateLimit"][:13] for response in refused} == {'"default";r=7'}
    assert passed.headers["RateLimit"].startswith('"default";r=6;')


async def test_body_beyond_the_further_limit_is_not_read(client: httpx2.AsyncClient) -> None:
    for _ in range(2):
        assert (await client.post("/outer/exports", json={})).status_code == 200

    async def chunks() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    response = await client.post("/outer/exports", content=chunks())

    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 60
