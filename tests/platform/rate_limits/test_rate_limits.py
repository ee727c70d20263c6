"""No client exceeds its limit, whichever route it uses."""

from collections.abc import AsyncIterator
from itertools import count

import anyio
import httpx2
import pytest
from fastapi import APIRouter
from starlette.types import ASGIApp

from order_service.core.rate_limits.limits import RateLimiter
from order_service.main import create_app
from order_service.settings import Settings

from ..clients import client_of, running
from ..feature import TRIALS, add_trials

ORIGIN = "https://app.example.com"
ADDRESSES = count(1)

router = APIRouter(prefix="/outer")
nested = APIRouter(prefix="/inner")


@nested.get("/{word}")
async def say(word: str) -> str:
    """Respond from a router that is included in an included router."""
    return word


router.include_router(nested)


@pytest.fixture(scope="module")
async def strict(module_settings: Settings) -> AsyncIterator[ASGIApp]:
    """Run a service with a limit of three requests a minute for each client."""
    app = create_app(module_settings.model_copy(update={"rate_limit_default": "3/minute"}))
    app.include_router(router)
    add_trials(app)
    async with running(app) as service:
        yield service


@pytest.fixture
async def client(strict: ASGIApp) -> AsyncIterator[httpx2.AsyncClient]:
    """Open a client with an address that has sent no request yet."""
    async with client_of(strict, f"192.0.2.{next(ADDRESSES)}") as client:
        yield client


async def use_up(client: httpx2.AsyncClient) -> httpx2.Response:
    """Send requests up to the limit, and one more."""
    for _ in range(3):
        assert (await client.get("/outer/inner/hello")).status_code == 200
    return await client.get("/outer/inner/hello", headers={"Origin": ORIGIN})


async def test_refusal_is_a_problem_with_retry_after(
    client: httpx2.AsyncClient,
) -> None:
    refused = await use_up(client)

    assert refused.status_code == 429
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Retry-After" in refused.headers["Access-Control-Expose-Headers"]
    assert refused.headers["X-Content-Type-Options"] == "nosniff"
    assert refused.json()["request_id"] == refused.headers["X-Request-ID"]
    assert refused.json()["code"] == "too_many_requests"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit-Policy"] == '"default";q=3;w=60'
    assert refused.headers["RateLimit"].startswith('"default";r=0;t=')


async def test_every_response_reports_the_remaining_requests(
    client: httpx2.AsyncClient,
) -> None:
    for path, left in [("/outer/inner/hello", 2), ("/nowhere", 1), ("/docs", 0)]:
        response = await client.get(path)

        assert response.headers["RateLimit-Policy"] == '"default";q=3;w=60'
        assert response.headers["RateLimit"].startswith(f'"default";r={left};t=')


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", TRIALS),
        ("POST", TRIALS),
        ("GET", "/outer/inner/hello"),
        ("GET", "/nowhere"),
        ("DELETE", "/docs"),
        ("GET", "/openapi.json"),
        ("HEAD", "/health/nothing"),
    ],
)
async def test_limit_applies_to_every_route(
    client: httpx2.AsyncClient, method: str, path: str
) -> None:
    await use_up(client)

    assert (await client.request(method, path)).status_code == 429


@pytest.mark.parametrize(
    "path", ["/health", "/health/live", "/health/ready", "/docs/assets/swagger-ui.css"]
)
async def test_probes_and_documentation_assets_are_not_limited(
    client: httpx2.AsyncClient, path: str
) -> None:
    await use_up(client)

    response = await client.get(path)

    assert response.status_code == 200
    assert "RateLimit" not in response.headers


async def test_other_clients_have_their_own_limit(
    strict: ASGIApp, client: httpx2.AsyncClient
) -> None:
    await use_up(client)

    async with client_of(strict, "198.51.100.1") as other:
        assert (await other.get("/outer/inner/hello")).status_code == 200


async def test_forged_forwarded_header_is_ignored(
    client: httpx2.AsyncClient,
) -> None:
    await use_up(client)

    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP"):
        for content in ("198.51.100.9", "for=198.51.100.9"):
            response = await client.get("/outer/inner/hello", headers={name: content})
            assert response.status_code == 429


async def test_ipv6_network_shares_one_limit(strict: ASGIApp) -> None:
    statuses = []
    for number in range(4):
        async with client_of(strict, f"2001:db8::{number}:1") as client:
            statuses.append((await client.get("/outer/inner/hello")).status_code)

    assert statuses == [200, 200, 200, 429]


async def test_concurrent_requests_do_not_exceed_the_limit(
    client: httpx2.AsyncClient,
) -> None:
    statuses: list[int] = []

    async def ask() -> None:
        statuses.append((await client.get("/outer/inner/hello")).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(ask)

    assert sorted(statuses) == [200] * 3 + [429] * 17


async def test_body_of_a_refused_request_is_not_read(client: httpx2.AsyncClient) -> None:
    await use_up(client)

    async def chunks() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    response = await client.post(TRIALS, content=chunks())

    assert response.status_code == 429


@pytest.mark.needs("auth")
@pytest.mark.parametrize(
    ("name", "path", "body"),
    [
        ("login", "/api/v1/auth/token", {"data": {"username": "a", "password": "b"}}),
        ("refresh", "/api/v1/auth/refresh", {"json": {"refresh_token": "x"}}),
        ("registration", "/api/v1/users", {"json": {"email": "not an address"}}),
    ],
)
async def test_sign_in_routes_have_stricter_limits(
    settings: Settings, name: str, path: str, body: dict[str, dict[str, str]]
) -> None:
    few = settings.model_copy(update={f"rate_limit_{name}": "2/minute"})
    app = create_app(few)
    add_trials(app)
    async with running(app) as service, client_of(service) as client:
        responses = [await client.post(path, **body) for _ in range(3)]  # type: ignore[arg-type]
        elsewhere = await client.get(TRIALS)

    assert [response.status_code == 429 for response in responses] == [False, False, True]
    assert f'"{name}";q=2;w=60' in responses[0].headers["RateLimit-Policy"]
    assert f'"{name}";r=0;t=' in responses[2].headers["RateLimit"]
    assert int(responses[2].headers["Retry-After"]) <= 60
    assert elsewhere.status_code == 200


async def test_error_in_the_limit_itself_is_a_complete_problem(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        message = "hunter2"
        raise RuntimeError(message)

    monkeypatch.setattr(RateLimiter, "spend", fail)

    response = await client.get("/outer/inner/hello", headers={"X-Request-ID": "broken-limit"})

    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-ID"] == response.json()["request_id"] == "broken-limit"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "hunter2" not in response.text
    failures = [line for line in caplog.text.splitlines() if "'request_failed'" in line]
    assert len(failures) == 1
    assert "broken-limit" in failures[0]
