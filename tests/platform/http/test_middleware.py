"""Request ids, headers, CORS and the access log."""

import httpx2
import pytest

ORIGIN = "https://app.example.com"


@pytest.fixture
def client(shared_client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """Share one service among the tests: none changes it."""
    return shared_client


@pytest.mark.parametrize("request_id", ["a", "order-42.7_B", "x" * 64])
async def test_request_id_of_the_caller_is_echoed(
    client: httpx2.AsyncClient, request_id: str
) -> None:
    response = await client.get("/health", headers={"X-Request-ID": request_id})

    assert response.headers["X-Request-ID"] == request_id


@pytest.mark.parametrize("request_id", ["", "x" * 65, "two words", 'a"b', "é", "-a"])
async def test_malformed_request_id_is_replaced(
    client: httpx2.AsyncClient, request_id: str
) -> None:
    response = await client.get("/health", headers={b"X-Request-ID": request_id.encode()})

    made = response.headers["X-Request-ID"]
    assert made != request_id
    assert len(made) == 32


async def test_responses_have_security_headers(client: httpx2.AsyncClient) -> None:
    response = await client.get("/health")

    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["X-Frame-Options"] == "DENY"
    assert "Strict-Transport-Security" not in response.headers


async def test_cors_allows_a_listed_origin(client: httpx2.AsyncClient) -> None:
    response = await client.options(
        "/anywhere",
        headers={"Origin": ORIGIN, "Access-Control-Request-Method": "DELETE"},
    )

    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Credentials" not in response.headers


async def test_cors_refuses_another_origin(client: httpx2.AsyncClient) -> None:
    response = await client.options(
        "/anywhere",
        headers={
            "Origin": "https://evil.example.com",
            "Access-Control-Request-Method": "DELETE",
        },
    )

    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_probes_accept_any_host_header(client: httpx2.AsyncClient) -> None:
    response = await client.get("/health/live", headers={"Host": "10.0.0.7"})

    assert response.status_code == 200


async def test_finished_request_is_logged_once_without_its_query(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await client.get("/nowhere?token=hunter2", headers={"X-Request-ID": "my-id"})

    (line,) = [text for text in caplog.text.splitlines() if "my-id" in text]
    assert "'event': 'request_finished'" in line
    assert "'path': '/nowhere'" in line
    assert "'route': 'unmatched'" in line
    assert "hunter2" not in line


async def test_probes_are_not_logged(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await client.get("/health/live", headers={"X-Request-ID": "my-id"})

    assert "my-id" not in caplog.text
