"""The API's documentation."""

import re

import httpx2
import pytest


@pytest.fixture
def client(shared_client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """Share one service among the tests: none changes it."""
    return shared_client


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_page_loads_no_asset_from_another_host(client: httpx2.AsyncClient, path: str) -> None:
    page = await client.get(path)

    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert links
    for link in links:
        assert link.startswith("/docs/assets/")
        assert (await client.get(link)).status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
async def test_content_security_policy_allows_only_the_pages_own_scripts(
    client: httpx2.AsyncClient, path: str
) -> None:
    page = await client.get(path)

    policy = page.headers["Content-Security-Policy"]
    scripts = re.findall(r"<script>", page.text)
    assert policy.count("'sha256-") == len(scripts)
    assert "script-src 'self'" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "http" not in policy
