"""The routes that are measured, and the responses they must give."""

import json
import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from .services import LIVENESS, Postgres, Reply, Server

ITEMS = "/api/v1/items"
ROWS = 20_000
FIRST = 60
PASSWORD = "a long and quiet river"  # noqa: S105
NEW: dict[str, object] = {
    "name": "Lamp",
    "description": "Warm light, oak foot.",
    "price_cents": 4900,
}
VARYING = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\\\.\d+)?Z"
)
POSITIONS = """
SELECT id, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
FROM items ORDER BY created_at LIMIT {rows}
"""


@dataclass(frozen=True)
class Route:
    """A request to repeat, and its response; @id@ and @at@ stand for one of the values."""

    request: str
    status: int = 200
    expected: str = ""
    values: tuple[tuple[str, str], ...] = (("", ""),)
    is_pattern: bool = False

    def plan(self) -> dict[str, Any]:
        """Return it for the load's JSON."""
        return {**self.__dict__, "values": [list(value) for value in self.values]}


@dataclass(frozen=True)
class Data:
    """What was stored for a service: tokens, and ids with times of creation."""

    reader: dict[str, str]
    writer: dict[str, str]
    positions: tuple[tuple[str, str], ...] = ()


def store(server: Server, postgres: Postgres | None, rows: int) -> Data:
    """Register two users and create items, many of them if the database is PostgreSQL."""
    reader, writer = (_sign_in(server, f"{name}@example.com") for name in ("reader", "writer"))
    data = Data(reader, writer)
    for _ in range(FIRST):
        first = expect(201, server.request("POST", ITEMS, data.reader, json.dumps(NEW)))
    if postgres is None:
        return replace(data, positions=((first.json["id"], first.json["created_at"]),))
    postgres(fill=rows - FIRST)
    # The copies: their template below holds for each of them.
    found = postgres(sql=POSITIONS.format(rows=min(rows - FIRST, ROWS)))
    return replace(data, positions=tuple((row[0], row[1]) for row in found))


def _sign_in(server: Server, email: str) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    person = {"email": email, "password": PASSWORD, "full_name": "Ada Lovelace"}
    if server.request("POST", "/api/v1/users", headers, json.dumps(person)).status == 404:
        return headers
    form = urlencode({"username": email, "password": PASSWORD})
    typed = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = expect(200, server.request("POST", "/api/v1/auth/token", typed, form))
    return {**headers, "Authorization": f"Bearer {reply.json['access_token']}"}


def routes_of(server: Server, data: Data, *, is_cached: bool) -> dict[str, Route]:
    """Send each request once, check its response, and expect the same from then on."""
    routes = {"liveness": get_route(server, LIVENESS, {})}
    if server.request("GET", ITEMS, data.reader).status == 404:
        return routes
    item_id, created_at = data.positions[0]  # the oldest item
    path = f"{ITEMS}/{item_id}"
    reply = expect(200, server.request("GET", path, data.reader))
    assert reply.json.items() >= {"id": item_id, **NEW}.items(), reply
    item = get_route(server, path, data.reader)
    if len(data.positions) > 1:
        template = item.expected.replace(item_id, "@id@").replace(created_at, "@at@")
        one = item.request.replace(item_id, "@id@")
        routes["item"] = replace(item, request=one, expected=template, values=data.positions)
    else:
        routes["item"] = item
    if is_cached:
        routes["item, cached"] = replace(routes["item"], values=routes["item"].values[:20])
    if tag := reply.headers.get("etag"):
        headers = {**data.reader, "If-None-Match": tag}
        routes["item, 304"] = get_route(server, path, headers, status=304)
    page = f"{ITEMS}?limit=50"
    if "Authorization" not in data.reader:
        # Without owners, new items are on the first page.
        page += f"&cursor={server.request('GET', page).json['next_cursor']}"
    routes["list of 50"] = get_route(server, page, data.reader)
    assert len(json.loads(routes["list of 50"].expected)["items"]) in {50, FIRST - 50}
    routes["create"] = create_route(server, ITEMS, data.writer, NEW)
    if "Authorization" in data.reader:
        routes["users/me"] = get_route(server, "/api/v1/users/me", data.reader)
    return routes


def get_route(server: Server, path: str, headers: dict[str, str], status: int = 200) -> Route:
    """Request a path once, and expect the same response from then on."""
    reply = expect(status, server.request("GET", path, headers))
    return Route(_request("GET", path, headers), status, reply.body.decode())


def create_route(
    server: Server,
    path: str,
    headers: dict[str, str],
    content: dict[str, object],
    status: int = 201,
) -> Route:
    """Create a record; ids and times differ in later responses."""
    body = json.dumps(content)
    reply = expect(status, server.request("POST", path, headers, body))
    assert reply.json.items() >= content.items(), reply
    text = re.escape(reply.body.decode()).replace("\\-", "-")
    pattern = VARYING.sub(r"[0-9A-Za-z:.-]+", text)
    return Route(_request("POST", path, headers, body), status, pattern, is_pattern=True)


def _request(method: str, path: str, headers: dict[str, str], body: str = "") -> str:
    sent = {"Host": "127.0.0.1", **headers}
    if body:
        sent["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {text}\r\n" for name, text in sent.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n{body}"


def expect(status: int, reply: Reply) -> Reply:
    """Return a response that has the status."""
    assert reply.status == status, reply
    return reply
