"""API keys act for their owners, within their scopes."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import anyio
import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import Engine, event, text

from order_service.core.database.session import open_engine
from order_service.settings import Settings

from ..accounts import NewAccount
from ..service import feature_module
from ..tables import Tables

caller_with_scope = feature_module("api_keys", "dependencies").caller_with_scope
Scope = feature_module("api_keys", "models").Scope

KEYS = "/api/v1/api-keys"
ACTIONS = "/actions"
FEATURE = next(iter(Scope)).partition(":")[0]
READ, WRITE = f"{FEATURE}:read", f"{FEATURE}:write"
BOTH = [READ, WRITE]

router = APIRouter(prefix=ACTIONS)
Caller = Annotated[Any, Depends(caller_with_scope(FEATURE))]


@router.get("")
@router.post("")
@router.put("")
@router.patch("")
@router.delete("")
async def act(caller: Caller) -> str:
    """Return the id of the caller."""
    return str(caller.id)


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    """Build the application with a route for API keys."""
    app.include_router(router)
    return app


async def make_key(ada: httpx2.AsyncClient, **changes: object) -> dict[str, Any]:
    """Create a key with all scopes, except for the given changes."""
    body = {"name": "Import", "scopes": BOTH} | changes
    response = await ada.post(KEYS, json=body)
    assert response.status_code == 201, response.text
    key: dict[str, Any] = response.json()
    return key


def sent(key: Mapping[str, Any]) -> dict[str, str]:
    """Return the header that carries a key."""
    return {"X-API-Key": key["key"]}


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the statements that are sent to the database."""
    seen: list[str] = []

    def note(*arguments: object) -> None:
        seen.append(str(arguments[2]))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_key_is_shown_only_when_created(ada: httpx2.AsyncClient) -> None:
    response = await ada.post(KEYS, json={"name": "Import"})

    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    key = response.json()
    assert re.fullmatch(r"[0-9a-f]{12}_[\w-]{43}", key["key"])
    assert key["key"].startswith(f"{key['prefix']}_")
    assert key["scopes"] == [READ]
    assert (key["expires_at"], key["last_used_at"], key["revoked_at"]) == (None,) * 3
    listed = await ada.get(KEYS)
    (shown,) = listed.json()["items"]
    assert shown == {name: key[name] for name in key if name != "key"}
    assert key["key"].partition("_")[2] not in listed.text


async def test_only_a_digest_is_stored(ada: httpx2.AsyncClient, tables: Tables) -> None:
    key = await make_key(ada)

    (row,) = await tables.run("SELECT * FROM api_keys")

    assert key["key"].partition("_")[2] not in str(row)


async def test_key_acts_as_its_owner(
    ada: httpx2.AsyncClient, client: httpx2.AsyncClient, new_account: NewAccount
) -> None:
    for owner in (ada, await new_account("eve@example.com")):
        key = await make_key(owner)
        account = (await owner.get("/api/v1/users/me")).json()
        assert (await client.get(ACTIONS, headers=sent(key))).json() == account["id"]


@pytest.mark.parametrize("scopes", [[READ], [WRITE], BOTH])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_scopes_limit_what_a_key_may_do(
    ada: httpx2.AsyncClient,
    client: httpx2.AsyncClient,
    tables: Tables,
    method: str,
    scopes: list[str],
) -> None:
    key = await make_key(ada, scopes=scopes)

    response = await client.request(method, ACTIONS, headers=sent(key))

    events = await tables.run("SELECT event FROM audit_events ORDER BY created_at")
    if (READ if method == "GET" else WRITE) in scopes:
        assert response.status_code == 200
    else:
        assert response.status_code == 403
        assert response.json()["code"] == "forbidden"
        assert events[-1]["event"] == "forbidden"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", KEYS),
        ("POST", KEYS),
        ("DELETE", f"{KEYS}/0"),
        ("GET", "/api/v1/users"),
        ("GET", "/api/v1/users/me"),
        ("PATCH", "/api/v1/users/me"),
        ("DELETE", "/api/v1/users/me"),
        ("PUT", "/api/v1/users/me/password"),
    ],
)
async def test_key_cannot_manage_accounts_or_keys(
    ada: httpx2.AsyncClient, client: httpx2.AsyncClient, method: str, path: str
) -> None:
    key = await make_key(ada)
    body = {"name": "Another", "full_name": "Eve"} if method != "GET" else None

    response = await client.request(method, path, json=body, headers=sent(key))

    assert response.status_code == 401
    assert (await ada.get("/api/v1/users/me")).json()["is_active"] is True


async def test_revoked_key_is_refused_and_stays_listed(
    ada: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    key, other = await make_key(ada), await make_key(ada)

    revoked = await ada.delete(f"{KEYS}/{key['id']}")

    assert revoked.status_code == 204
    assert (await client.get(ACTIONS, headers=sent(key))).status_code == 401
    assert (await client.get(ACTIONS, headers=sent(other))).status_code == 200
    shown = {shown["id"]: shown for shown in (await ada.get(KEYS)).json()["items"]}
    moment = shown[key["id"]]["revoked_at"]
    assert moment is not None
    assert shown[other["id"]]["revoked_at"] is None
    assert (await ada.delete(f"{KEYS}/{key['id']}")).status_code == 204
    again = (await ada.get(KEYS)).json()["items"]
    assert moment in [shown["revoked_at"] for shown in again]


async def test_keys_of_other_users_are_not_found(
    ada: httpx2.AsyncClient, client: httpx2.AsyncClient, new_account: NewAccount
) -> None:
    key = await make_key(ada)
    stranger = await new_account("eve@example.com")

    assert (await stranger.delete(f"{KEYS}/{key['id']}")).status_code == 404
    assert (await stranger.get(KEYS)).json()["items"] == []
    assert (await client.get(ACTIONS, headers=sent(key))).status_code == 200


async def test_keys_are_listed_in_pages(ada: httpx2.AsyncClient) -> None:
    made = [(await make_key(ada))["id"] for _ in range(3)]

    first = (await ada.get(KEYS, params={"limit": 2})).json()
    query = {"limit": 2, "cursor": first["next_cursor"]}
    second = (await ada.get(KEYS, params=query)).json()

    shown = [key["id"] for key in first["items"] + second["items"]]
    assert shown == list(reversed(made))
    assert second["next_cursor"] is None


async def test_key_of_a_deactivated_owner_is_refused(
    ada: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    key = await make_key(ada)

    await ada.delete("/api/v1/users/me")

    assert (await client.get(ACTIONS, headers=sent(key))).status_code == 401


async def test_expired_key_is_refused(
    ada: httpx2.AsyncClient, client: httpx2.AsyncClient, tables: Tables
) -> None:
    key = await make_key(ada, expires_in_days=1)
    expires_at = datetime.fromisoformat(key["expires_at"])
    assert timedelta(hours=23) < expires_at - datetime.now(UTC) < timedelta(hours=25)
    assert (await client.get(ACTIONS, headers=sent(key))).status_code == 200

    past = str(datetime.now(UTC) - timedelta(seconds=1))
    await tables.run(f"UPDATE api_keys SET expires_at = '{past}'")  # noqa: S608

    assert (await client.get(ACTIONS, headers=sent(key))).status_code == 401


async def test_refusals_are_indistinguishable(
    ada: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    key, revoked = await make_key(ada), await make_key(ada)
    await ada.delete(f"{KEYS}/{revoked['id']}")
    prefix, _, secret = key["key"].partition("_")
    offered = [
        None,
        "",
        "x",
        secret,
        f"{prefix}_",
        f"{prefix}_{'x' * 43}",
        f"{'0' * 12}_{secret}",
        f"{key['key']}x",
        f"{prefix}_{secret[:-1]}",
        "é" * 56,
        "x" * 5000,
        revoked["key"],
    ]
    responses = set()

    for content in offered:
        header = None if content is None else content.encode("latin-1")
        headers = None if header is None else {b"X-API-Key": header}
        response = await client.get(ACTIONS, headers=headers)
        problem = response.json() | {"request_id": None}
        challenge = response.headers["WWW-Authenticate"]
        responses.add((response.status_code, challenge, str(problem)))

    ((status, challenge, _),) = responses
    assert (status, challenge) == (401, "Bearer")


async def test_token_takes_precedence_over_a_key(
    ada: httpx2.AsyncClient, new_account: NewAccount
) -> None:
    key = await make_key(ada, scopes=[READ])
    stranger = await new_account("eve@example.com")

    with_good_token = await stranger.get(ACTIONS, headers=sent(key))
    account = await stranger.get("/api/v1/users/me")
    stranger.headers["Authorization"] = "Bearer x"
    with_bad_token = await stranger.get(ACTIONS, headers=sent(key))

    assert with_good_token.json() == account.json()["id"]
    assert with_bad_token.status_code == 401


async def test_last_use_is_recorded_once_a_minute(
    ada: httpx2.AsyncClient, client: httpx2.AsyncClient, tables: Tables
) -> None:
    key = await make_key(ada)

    async def last_use_after_a_request() -> str:
        await client.get(ACTIONS, headers=sent(key))
        (shown,) = (await ada.get(KEYS)).json()["items"]
        assert shown["updated_at"] == key["updated_at"]
        return str(shown["last_used_at"])

    first = await last_use_after_a_request()
    assert first != "None"
    assert await last_use_after_a_request() == first
    earlier = str(datetime.now(UTC) - timedelta(seconds=61))
    await tables.run(
        f"UPDATE api_keys SET last_used_at = '{earlier}'",  # noqa: S608
    )
    assert await last_use_after_a_request() > first


async def test_key_costs_no_more_queries_than_a_token(
    ada: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    key = await make_key(ada)

    with statements() as by_token:
        await ada.get(ACTIONS)
    with statements() as first_by_key:
        await client.get(ACTIONS, headers=sent(key))
    with statements() as by_key:
        await client.get(ACTIONS, headers=sent(key))
    with statements() as by_unknown_key:
        await client.get(ACTIONS, headers={"X-API-Key": "no key at all"})

    assert len(by_token) == len(by_key) == 1
    assert len(first_by_key) == 2
    assert by_unknown_key == []


async def test_concurrent_requests_with_one_key_succeed(
    ada: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    key = await make_key(ada)
    statuses: list[int] = []

    async def call() -> None:
        response = await client.post(ACTIONS, headers=sent(key))
        statuses.append(response.status_code)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(call)

    assert statuses == [200] * 20


@pytest.mark.needs("postgresql")  # SQLite locks no rows.
async def test_locked_key_row_blocks_no_request(
    ada: httpx2.AsyncClient, client: httpx2.AsyncClient, settings: Settings
) -> None:
    key = await make_key(ada)

    async with open_engine(settings) as engine, engine.begin() as connection:
        await connection.execute(text("UPDATE api_keys SET last_used_at = now()"))
        with anyio.fail_after(2):
            response = await client.get(ACTIONS, headers=sent(key))

    assert response.status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "a\x00b"},
        {"scopes": []},
        {"scopes": ["all"]},
        {"scopes": READ},
        {"expires_in_days": 0},
        {"expires_in_days": 10**400},
        {"owner_id": "00000000-0000-0000-0000-000000000000"},
    ],
)
async def test_invalid_key_request_is_refused(
    ada: httpx2.AsyncClient, change: dict[str, object]
) -> None:
    response = await ada.post(KEYS, json={"name": "Import"} | change)

    assert response.status_code == 422
    assert (await ada.get(KEYS)).json()["items"] == []


def test_document_lists_the_accepted_credentials(app: FastAPI) -> None:
    document = app.openapi()

    schemes = document["components"]["securitySchemes"]
    assert schemes["ApiKey"]["type"] == "apiKey"
    assert schemes["ApiKey"]["name"] == "X-API-Key"
    for path, operations in document["paths"].items():
        for operation in operations.values():
            accepted = [next(iter(one)) for one in operation.get("security", [])]
            if path.startswith(ACTIONS):
                assert accepted == ["OAuth2PasswordBearer", "ApiKey"]
                assert {"401", "403"} <= set(operation["responses"])
            elif path.startswith((KEYS, "/api/v1/auth", "/api/v1/users")):
                assert "ApiKey" not in accepted
