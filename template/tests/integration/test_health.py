"""The probes."""

import httpx2
import pytest


@pytest.mark.parametrize("path", ["/health", "/health/live"])
async def test_live_process_says_so(anonymous: httpx2.AsyncClient, path: str) -> None:
    response = await anonymous.get(path)

    assert response.status_code == 200
    assert response.json()["status"] == "ok"
    assert set(response.json()) == {"status", "service", "version"}


async def test_ready_service_says_so(anonymous: httpx2.AsyncClient) -> None:
    response = await anonymous.get("/health/ready")

    assert response.status_code == 200
    assert response.json()["status"] == "ok"
