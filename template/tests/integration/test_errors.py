"""Every error has one shape, and passes through the same middleware."""

import errno
import socket

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, HTTPException

ORIGIN = "https://app.example.com"

router = APIRouter(prefix="/trouble")


@router.get("/unexpected")
async def raise_unexpected() -> None:
    """Fail as no code should."""
    message = "the password is hunter2"
    raise RuntimeError(message)


@router.get("/silence")
async def raise_silence() -> None:
    """Fail as a lost connection does."""
    raise ConnectionResetError


@router.get("/unknown-host")
async def raise_unknown_host() -> None:
    """Fail as the look-up of a name does, whose machine was stopped."""
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@router.get("/unreachable-host")
async def raise_unreachable_host() -> None:
    """Fail as a connection to a machine does, which is gone."""
    raise OSError(errno.EHOSTUNREACH, "No route to host")


@router.get("/full-disk")
async def raise_full_disk() -> None:
    """Fail on this machine, which is nobody's silence."""
    raise OSError(errno.ENOSPC, "No space left on device")


@router.get("/status/{status}")
async def raise_status(status: int) -> None:
    """Fail as a framework does."""
    raise HTTPException(status)


@router.delete("/content")
async def drop_content() -> None:
    """Share a path with the next route."""


@router.post("/content")
async def take_content(content: dict[str, str]) -> None:
    """Take any content, as long as it is an object."""


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    """Give the application, with routes that fail."""
    app.include_router(router)
    return app


def assert_is_problem(response: httpx2.Response, status: int) -> None:
    """Check everything that all problems share."""
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
        ("GET", "/trouble/unexpected", 500),
        ("GET", "/trouble/silence", 503),
        ("GET", "/trouble/unknown-host", 503),
        ("GET", "/trouble/unreachable-host", 503),
        ("GET", "/trouble/full-disk", 500),
        ("GET", "/trouble/status/403", 403),
        ("GET", "/trouble/status/409", 409),
        ("GET", "/trouble/status/412", 412),
        ("GET", "/trouble/status/418", 418),
        ("GET", "/trouble/status/429", 429),
        ("GET", "/trouble/status/word", 422),
    ],
)
async def test_errors_have_one_shape(
    anonymous: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await anonymous.request(
        method, f"{path}?secret=hunter2", headers={"Origin": ORIGIN}
    )

    assert_is_problem(response, status)
    assert response.json()["instance"] == path
    assert "hunter2" not in response.text


async def test_method_that_is_not_allowed_names_those_that_are(
    anonymous: httpx2.AsyncClient,
) -> None:
    response = await anonymous.put("/trouble/content")

    assert response.headers["Allow"] == "DELETE, POST"


async def test_body_that_is_not_json_is_a_bad_request(
    anonymous: httpx2.AsyncClient,
) -> None:
    response = await anonymous.post(
        "/trouble/content",
        content=b'{"name": ',
        headers={"Origin": ORIGIN, "Content-Type": "application/json"},
    )

    assert_is_problem(response, 400)
    assert response.json()["errors"][0]["type"] == "json_invalid"


async def test_body_of_another_type_is_refused(
    anonymous: httpx2.AsyncClient,
) -> None:
    response = await anonymous.post(
        "/trouble/content",
        content=b'{"name": "Lamp"}',
        headers={"Origin": ORIGIN, "Content-Type": "text/plain"},
    )

    assert_is_problem(response, 422)


@pytest.mark.parametrize("is_chunked", [True, False])
async def test_too_large_a_body_is_refused(
    anonymous: httpx2.AsyncClient, *, is_chunked: bool
) -> None:
    body = b'{"name": "' + b"x" * 10_000 + b'"}'

    async def chunks() -> object:
        yield body[:5_000]
        yield body[5_000:]

    response = await anonymous.post(
        "/trouble/content",
        content=chunks() if is_chunked else body,  # type: ignore[arg-type]
        headers={"Origin": ORIGIN, "Content-Type": "application/json"},
    )

    assert_is_problem(response, 413)


async def test_foreign_host_is_refused(anonymous: httpx2.AsyncClient) -> None:
    response = await anonymous.get(
        "/nowhere", headers={"Origin": ORIGIN, "Host": "evil.example.com"}
    )

    assert_is_problem(response, 400)
