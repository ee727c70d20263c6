"""Every error response has one shape, and passes through the same middleware."""

import errno
import socket
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import APIRouter, HTTPException

from order_service.main import create_app
from order_service.settings import Settings

from ..clients import client_of, running

ORIGIN = "https://app.example.com"

router = APIRouter(prefix="/errors")


@router.get("/unexpected")
async def raise_unexpected() -> None:
    message = "the password is hunter2"
    raise RuntimeError(message)


@router.get("/connection-reset")
async def raise_connection_reset() -> None:
    raise ConnectionResetError


@router.get("/unknown-host")
async def raise_unknown_host() -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@router.get("/unreachable-host")
async def raise_unreachable_host() -> None:
    raise OSError(errno.EHOSTUNREACH, "No route to host")


@router.get("/full-disk")
async def raise_full_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@router.get("/status/{status}")
async def raise_status(status: int) -> None:
    raise HTTPException(status)


@router.delete("/content")
async def drop_content() -> None:
    """Share a path with the next route."""


@router.post("/content")
async def take_content(content: dict[str, str]) -> None:
    """Accept any object."""


@pytest.fixture(scope="module")
async def client(module_settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Open a client of a service with routes that fail."""
    app = create_app(module_settings)
    app.include_router(router)
    async with running(app) as service, client_of(service) as client:
        yield client


def assert_is_problem(response: httpx2.Response, status: int) -> None:
    """Check everything that all problem documents share."""
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    problem = response.json()
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert problem["error"] == f"{problem['title']}: {problem['detail']}"
    assert {"type", "title", "detail", "instance", "code"} < set(problem)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("POST", "/health/live", 405),
        ("GET", "/errors/unexpected", 500),
        ("GET", "/errors/connection-reset", 503),
        ("GET", "/errors/unknown-host", 503),
        ("GET", "/errors/unreachable-host", 503),
        ("GET", "/errors/full-disk", 500),
        ("GET", "/errors/status/403", 403),
        ("GET", "/errors/status/409", 409),
        ("GET", "/errors/status/412", 412),
        ("GET", "/errors/status/418", 418),
        ("GET", "/errors/status/429", 429),
        ("GET", "/errors/status/word", 422),
    ],
)
async def test_errors_have_one_shape(
    client: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, f"{path}?secret=hunter2", headers={"Origin": ORIGIN})

    assert_is_problem(response, status)
    assert response.json()["instance"] == path
    assert "hunter2" not in response.text


async def test_405_lists_the_allowed_methods(client: httpx2.AsyncClient) -> None:
    response = await client.put("/errors/content")

    assert response.headers["Allow"] == "DELETE, POST"


async def test_body_that_is_not_json_is_a_bad_request(client: httpx2.AsyncClient) -> None:
    response = await client.post(
        "/errors/content",
        content=b'{"name": ',
        headers={"Origin": ORIGIN, "Content-Type": "application/json"},
    )

    assert_is_problem(response, 400)
    assert response.json()["errors"][0]["type"] == "json_invalid"


async def test_body_of_another_media_type_is_refused(client: httpx2.AsyncClient) -> None:
    response = await client.post(
        "/errors/content",
        content=b'{"name": "Lamp"}',
        headers={"Origin": ORIGIN, "Content-Type": "text/plain"},
    )

    assert_is_problem(response, 422)


@pytest.mark.parametrize("is_chunked", [True, False])
async def test_oversized_body_is_refused(client: httpx2.AsyncClient, *, is_chunked: bool) -> None:
    body = b'{"name": "' + b"x" * 10_000 + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        yield body[:5_000]
        yield body[5_000:]

    response = await client.post(
        "/errors/content",
        content=chunks() if is_chunked else body,
        headers={"Origin": ORIGIN, "Content-Type": "application/json"},
    )

    assert_is_problem(response, 413)


async def test_unknown_host_header_is_refused(client: httpx2.AsyncClient) -> None:
    response = await client.get("/nowhere", headers={"Origin": ORIGIN, "Host": "evil.example.com"})

    assert_is_problem(response, 400)
