"""The API's documentation, served whole: no page of it loads anything from elsewhere."""

import base64
import hashlib
import re
from html import escape
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import (
    get_redoc_html,
    get_swagger_ui_html,
    get_swagger_ui_oauth2_redirect_html,
)
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

ASSETS_PATH = "/docs/assets"
ASSETS_PACKAGE = "fastapi_offline"
"""Nothing of the package runs here: it carries the pages' scripts and styles."""

INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class DocsError(RuntimeError):
    """The pages' scripts and styles are not installed."""


def add_docs(app: FastAPI) -> None:
    """Serve Swagger UI at /docs and ReDoc at /redoc from the installed assets.

    Raises:
        DocsError: the package that carries the assets is not installed.
    """
    spec = find_spec(ASSETS_PACKAGE)
    if spec is None or spec.origin is None:
        message = f"The package {ASSETS_PACKAGE} is missing; run `uv sync`."
        raise DocsError(message)
    assets = StaticFiles(directory=Path(spec.origin).parent / "static")
    app.mount(ASSETS_PATH, assets, name="docs-assets")

    async def show_swagger_ui(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        return _with_policy(
            get_swagger_ui_html(
                openapi_url=f"{root}{app.openapi_url}",
                title=escape(app.title),
                oauth2_redirect_url=f"{root}/docs/oauth2-redirect",
                swagger_js_url=f"{root}{ASSETS_PATH}/swagger-ui-bundle.js",
                swagger_css_url=f"{root}{ASSETS_PATH}/swagger-ui.css",
                swagger_favicon_url=f"{root}{ASSETS_PATH}/favicon.png",
            )
        )

    async def finish_swagger_login(request: Request) -> HTMLResponse:
        return _with_policy(get_swagger_ui_oauth2_redirect_html())

    async def show_redoc(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        return _with_policy(
            get_redoc_html(
                openapi_url=f"{root}{app.openapi_url}",
                title=escape(app.title),
                redoc_js_url=f"{root}{ASSETS_PATH}/redoc.standalone.js",
                redoc_favicon_url=f"{root}{ASSETS_PATH}/favicon.png",
                with_google_fonts=False,
            )
        )

    app.add_route("/docs", show_swagger_ui, include_in_schema=False)
    app.add_route(
        "/docs/oauth2-redirect", finish_swagger_login, include_in_schema=False
    )
    app.add_route("/redoc", show_redoc, include_in_schema=False)


def _with_policy(page: HTMLResponse) -> HTMLResponse:
    """Allow the page its own assets and the very inline scripts that it contains."""
    hashes = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in INLINE_SCRIPT.findall(bytes(page.body).decode())
    ]
    scripts = " ".join(f"'sha256-{digest}'" for digest in hashes)
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' {scripts}; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; worker-src blob:; frame-ancestors 'none'"
    )
    return page
