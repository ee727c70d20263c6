"""What every request passes through."""

import httpx2
import pytest

ORIGIN = "https://app.example.com"


@pytest.mark.parametrize("request_id", ["a", "order-42.7_B", "x" * 64])
async def test_request_id_of_the_caller_is_echoed(
    anonymous: httpx2.AsyncClient, request_id: str
) -> None:
    response = await anonymous.get("/health", headers={"X-Request-ID": request_id})

    assert response.headers["X-Request-ID"] == request_id


@pytest.mark.parametrize("request_id", ["", "x" * 65, "two words", 'a"b', "é", "-a"])
async def test_unusable_request_id_is_replaced(
    anonymous: httpx2.AsyncClient, request_id: str
) -> None:
    response = await anonymous.get(
        "/health", headers={b"X-Request-ID": request_id.encode()}
    )

    made = response.headers["X-Request-ID"]
    assert made != request_id
    assert len(made) == 32


async def test_answers_are_dressed(anonymous: httpx2.AsyncClient) -> None:
    response = await anonymous.get("/health")

    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["X-Frame-Options"] == "DENY"
    assert "Strict-Transport-Security" not in response.headers


async def test_listed_origin_may_ask(anonymous: httpx2.AsyncClient) -> None:
    response = await anonymous.options(
        "/anywhere",
        headers={"Origin": ORIGIN, "Access-Control-Request-Method": "DELETE"},
    )

    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Credentials" not in response.headers


async def test_other_origin_may_not(anonymous: httpx2.AsyncClient) -> None:
    response = await anonymous.options(
        "/anywhere",
        headers={
            "Origin": "https://evil.example.com",
            "Access-Control-Request-Method": "DELETE",
        },
    )

    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_probes_come_by_address(anonymous: httpx2.AsyncClient) -> None:
    response = await anonymous.get("/health/live", headers={"Host": "10.0.0.7"})

    assert response.status_code == 200


async def test_finished_request_is_logged_once_without_its_query(
    anonymous: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await anonymous.get("/nowhere?token=hunter2", headers={"X-Request-ID": "my-id"})

    (line,) = [text for text in caplog.text.splitlines() if "my-id" in text]
    assert "'event': 'request_finished'" in line
    assert "'path': '/nowhere'" in line
    assert "'route': 'unmatched'" in line
    assert "hunter2" not in line


async def test_probes_are_not_logged(
    anonymous: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await anonymous.get("/health/live", headers={"X-Request-ID": "my-id"})

    assert "my-id" not in caplog.text
