"""The API's documentation: no page of it loads anything from another host."""

import base64
import hashlib
import re
from collections.abc import Callable
from html import escape

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
INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def add_docs(app: FastAPI) -> None:
    """Serve Swagger UI at /docs and ReDoc at /redoc from the installed assets."""
    # No code of the package runs: it contains the pages' scripts and styles.
    assets = StaticFiles(packages=[("fastapi_offline", "static")])
    app.mount(ASSETS_PATH, assets, name="docs-assets")

    def swagger_ui(root: str) -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=escape(app.title),
            oauth2_redirect_url=f"{root}/docs/oauth2-redirect",
            swagger_js_url=f"{root}{ASSETS_PATH}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{ASSETS_PATH}/swagger-ui.css",
            swagger_favicon_url=f"{root}{ASSETS_PATH}/favicon.png",
        )

    def redoc(root: str) -> HTMLResponse:
        return get_redoc_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=escape(app.title),
            redoc_js_url=f"{root}{ASSETS_PATH}/redoc.standalone.js",
            redoc_favicon_url=f"{root}{ASSETS_PATH}/favicon.png",
            with_google_fonts=False,
        )

    _add_page(app, "/docs", swagger_ui)
    _add_page(
        app, "/docs/oauth2-redirect", lambda _: get_swagger_ui_oauth2_redirect_html()
    )
    _add_page(app, "/redoc", redoc)


def _add_page(app: FastAPI, path: str, render: Callable[[str], HTMLResponse]) -> None:
    """Serve a page that may load its assets and the inline scripts that it contains."""

    async def show(request: Request) -> HTMLResponse:
        page = render(request.scope.get("root_path", ""))
        hashes = [
            base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            for script in INLINE_SCRIPT.findall(bytes(page.body).decode())
        ]
        scripts = " ".join(f"'sha256-{digest}'" for digest in hashes)
        page.headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'self' {scripts}; "
            "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
            "font-src 'self'; connect-src 'self'; worker-src blob:; "
            "frame-ancestors 'none'"
        )
        return page

    app.add_route(path, show, include_in_schema=False)
