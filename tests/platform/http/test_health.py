"""The probes."""

import httpx2
import pytest


@pytest.fixture
def client(shared_client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """Share one service among the tests: none changes it."""
    return shared_client


@pytest.mark.parametrize("path", ["/health", "/health/live"])
async def test_liveness_reports_service_and_version(client: httpx2.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert response.status_code == 200
    assert response.json()["status"] == "ok"
    assert set(response.json()) == {"status", "service", "version"}


async def test_readiness_reports_ok(client: httpx2.AsyncClient) -> None:
    response = await client.get("/health/ready")

    assert response.status_code == 200
    assert response.json()["status"] == "ok"
