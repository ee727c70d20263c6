"""Routes are named by their templates."""

from pathlib import Path

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from order_service.core.http.route_template import route_template

PATHS = {
    "/api/v1/notes/42": "/api/v1/notes/{note_id}",
    "/api/v1/notes/not-a-number": "/api/v1/notes/{note_id}",
    "/direct/a": "/direct/{name}",
    "/files/a/b/c": "/files/{path}",
    "/page": "/page",
    "/pages/1": "unmatched",
    "/mounted/inner/1": "/mounted/inner/{number}",
    "/mounted/nowhere": "/mounted/{path}",
    "/static/nowhere.css": "/static/{path}",
    "/nowhere": "unmatched",
    "/api/v1/nowhere": "unmatched",
    "/api/v1/notes/42/": "unmatched",
}


def show(_: object) -> PlainTextResponse:
    """Respond to any request."""
    return PlainTextResponse("")


def read_number(number: str) -> None:
    """Accept any number."""


def many_routes(directory: Path) -> FastAPI:
    """Make an application with every kind of route."""
    app = FastAPI(redirect_slashes=False)
    notes, api = APIRouter(prefix="/notes"), APIRouter(prefix="/api/v1")

    @notes.get("/{note_id}")
    async def read_note(note_id: int) -> None: ...

    @app.get("/direct/{name}")
    async def read_name(name: str) -> None: ...

    @app.get("/files/{path:path}")
    async def read_file(path: str) -> None: ...

    api.include_router(notes)
    app.include_router(api)
    app.add_route("/page", show)
    app.add_route("/pages/{number}", show)
    inner = FastAPI()
    inner.get("/inner/{number}")(read_number)
    app.mount("/mounted", inner)
    app.mount("/static", StaticFiles(directory=directory))
    return app


def named(app: ASGIApp, names: list[str]) -> ASGIApp:
    """Collect the names of the routes that requests reach."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        finally:
            names.append(route_template(scope))

    return call


@pytest.mark.parametrize("root", ["", "/behind/a/proxy"])
async def test_route_is_named_by_its_template_and_prefix(tmp_path: Path, root: str) -> None:
    names: list[str] = []
    app = named(many_routes(tmp_path), names)
    transport = httpx2.ASGITransport(app, root_path=root)

    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for path in PATHS:
            await client.get(f"{root}{path}")

    assert dict(zip(PATHS, names, strict=True)) == PATHS


async def test_wrong_method_still_names_the_route(tmp_path: Path) -> None:
    names: list[str] = []
    transport = httpx2.ASGITransport(named(many_routes(tmp_path), names))

    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.post("/api/v1/notes/42")

    assert response.status_code == 405
    assert names == ["/api/v1/notes/{note_id}"]
