"""Services of other templates, run from clones of their repositories."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from .bench import Bench
from .routes import FIRST, PASSWORD, Route, create_route, expect, get_route
from .services import SECRET, Server, open_postgres, run


@dataclass(frozen=True)
class Peer:
    """How a template's service is prepared, and where its routes are."""

    marker: str
    """A file that only a clone of this template has."""
    folder: str
    prepare: tuple[str, ...]
    """Arguments of Python that create the tables."""
    liveness: str
    register: str
    token: str
    me: str
    items: str = ""


CREATE_TABLES = """
from app.core.db import engine
from app.models import SQLModel
SQLModel.metadata.create_all(engine)
"""

PEERS = {
    "full-stack-fastapi-template": Peer(
        marker="backend/app/api/routes/items.py",
        folder="backend",
        # Not its migrations: they need an extension that the wheel of PostgreSQL lacks.
        prepare=("-c", CREATE_TABLES),
        liveness="/api/v1/utils/health-check/",
        register="/api/v1/users/signup",
        token="/api/v1/login/access-token",  # noqa: S106
        me="/api/v1/users/me",
        items="/api/v1/items/",
    ),
    "minimal-fastapi-postgres-template": Peer(
        marker="app/probe/views.py",
        folder=".",
        prepare=("-m", "alembic", "upgrade", "head"),
        liveness="/probe/live",
        register="/auth/register",
        token="/auth/access-token",  # noqa: S106
        me="/auth/me",
    ),
}


def add_peer(bench: Bench, clone: Path) -> str:
    """Build and start the service of a clone, and return its name."""
    names = [name for name, peer in PEERS.items() if (clone / peer.marker).exists()]
    if not names:
        sys.exit(f"{clone} is no clone of {' or '.join(PEERS)}.")
    name, peer = names[0], PEERS[names[0]]
    root = bench.work / name
    shutil.rmtree(root, ignore_errors=True)
    ignored = shutil.ignore_patterns(".git", ".venv", "node_modules", ".env")
    shutil.copytree(clone, root, ignore=ignored)
    python = ["--python", bench.python] if bench.python else []
    folder = root / peer.folder
    run("uv", "sync", "--frozen", *python, cwd=folder)
    postgres = bench.stack.enter_context(open_postgres(bench.default))
    binary = root / ".venv/bin/python"
    settings = settings_of(postgres.url)
    run(binary, *peer.prepare, cwd=folder, **settings)
    command = [str(binary), "-m", "uvicorn", "app.main:app", "--no-access-log"]
    server = Server(name, command, settings, binary, folder, bench.machine)
    server.liveness = peer.liveness
    bench.start(server)
    bench.routes[name] = peer_routes(server, peer)
    return name


def settings_of(url: str) -> dict[str, str]:
    """Return the settings of all peers; each reads its own."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", str(parts.port)
    user, password = parts.username or "", parts.password or ""
    return {
        "PROJECT_NAME": "benchmark",
        "SECRET_KEY": SECRET,
        "FIRST_SUPERUSER": "admin@example.com",
        "FIRST_SUPERUSER_PASSWORD": PASSWORD,
        "DATABASE_URL": url,
        "POSTGRES_SERVER": host,
        "POSTGRES_PORT": port,
        "POSTGRES_USER": user,
        "POSTGRES_PASSWORD": password,
        "POSTGRES_DB": parts.path[1:],
        "DATABASE__HOSTNAME": host,
        "DATABASE__PORT": port,
        "DATABASE__USERNAME": user,
        "DATABASE__PASSWORD": password,
        "DATABASE__DB": parts.path[1:],
        "SECURITY__JWT_SECRET_KEY": SECRET,
        "SECURITY__JWT_ACCESS_TOKEN_EXPIRE_SECS": "60000",
    }


def peer_routes(server: Server, peer: Peer) -> dict[str, Route]:
    """Store data, and return the routes that have a counterpart here."""
    reader, writer = (sign_in(server, peer, f"{who}@example.com") for who in ("reader", "writer"))
    routes = {
        "liveness": get_route(server, peer.liveness, {}),
        "users/me": get_route(server, peer.me, reader),
    }
    if peer.items:
        content: dict[str, object] = {"title": "Lamp", "description": "Warm light, oak foot."}
        for _ in range(FIRST):
            made = expect(200, server.request("POST", peer.items, reader, json.dumps(content)))
        routes["item"] = get_route(server, f"{peer.items}{made.json['id']}", reader)
        routes["list of 50"] = get_route(server, f"{peer.items}?limit=50", reader)
        routes["create"] = create_route(server, peer.items, writer, content, 200)
    return routes


def sign_in(server: Server, peer: Peer, email: str) -> dict[str, str]:
    """Register a user, and return the headers of their requests."""
    headers = {"Content-Type": "application/json"}
    person = {"email": email, "password": PASSWORD, "full_name": "Ada Lovelace"}
    assert server.request("POST", peer.register, headers, json.dumps(person)).status < 300
    typed = {"Content-Type": "application/x-www-form-urlencoded"}
    form = urlencode({"username": email, "password": PASSWORD})
    reply = expect(200, server.request("POST", peer.token, typed, form))
    return {**headers, "Authorization": f"Bearer {reply.json['access_token']}"}
