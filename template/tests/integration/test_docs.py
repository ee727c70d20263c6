"""The API's documentation."""

import re

import httpx2
import pytest


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_page_loads_nothing_from_elsewhere(
    anonymous: httpx2.AsyncClient, path: str
) -> None:
    page = await anonymous.get(path)

    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert links
    for link in links:
        assert link.startswith("/docs/assets/")
        assert (await anonymous.get(link)).status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
async def test_policy_allows_the_page_its_own_scripts_only(
    anonymous: httpx2.AsyncClient, path: str
) -> None:
    page = await anonymous.get(path)

    policy = page.headers["Content-Security-Policy"]
    scripts = re.findall(r"<script>", page.text)
    assert policy.count("'sha256-") == len(scripts)
    assert "script-src 'self'" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "http" not in policy
