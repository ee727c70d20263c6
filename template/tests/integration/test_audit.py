"""Security events are remembered, those of refused requests as well."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx2
import pytest
from structlog.testing import capture_logs

from ..people import PASSWORD, NewClient, register, sign_in
from ..tables import Tables

ME = "/api/v1/users/me"
TOKEN = "/api/v1/auth/token"
REFRESH = "/api/v1/auth/refresh"
EVENTS = "SELECT * FROM audit_events ORDER BY created_at"


async def names(tables: Tables) -> Sequence[str]:
    """Give the names of all events, the oldest first."""
    return [row["event"] for row in await tables.run(EVENTS)]


async def last_event(tables: Tables) -> dict[str, Any]:
    """Give the newest event."""
    return (await tables.run(EVENTS))[-1]


async def test_life_of_an_account_is_remembered(
    client: httpx2.AsyncClient, tables: Tables
) -> None:
    new_password = "another long and quiet river"
    passwords = {"current_password": PASSWORD, "new_password": new_password}
    await client.put(f"{ME}/password", json=passwords)
    await sign_in(client, "ada@example.com", new_password)
    key = await client.post("/api/v1/api-keys", json={"name": "Import"})
    for _ in range(2):
        await client.delete(f"/api/v1/api-keys/{key.json()['id']}")
    await client.delete(ME)

    assert await names(tables) == [
        "registered",
        "signed_in",
        "password_changed",
        "signed_in",
        "api_key_created",
        "api_key_revoked",
        "deactivated",
    ]


async def test_event_leads_to_its_user_and_its_request(
    client: httpx2.AsyncClient, tables: Tables
) -> None:
    me = (await client.get(ME)).json()

    response = await client.post("/api/v1/api-keys", json={"name": "Import"})

    event = await last_event(tables)
    assert UUID(str(event["user_id"])) == UUID(me["id"])
    assert UUID(str(event["subject_id"])) == UUID(response.json()["id"])
    assert event["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
async def test_failed_sign_in_keeps_its_event(
    client: httpx2.AsyncClient, tables: Tables, email: str
) -> None:
    form = {"username": email, "password": "not the password"}

    response = await client.post(TOKEN, data=form)

    assert response.status_code == 401
    event = await last_event(tables)
    assert event["event"] == "sign_in_failed"
    assert (event["user_id"] is not None) is (email == "ada@example.com")


async def test_reused_token_keeps_its_event(
    client: httpx2.AsyncClient, tables: Tables
) -> None:
    pair = await sign_in(client, "ada@example.com")
    body = {"refresh_token": pair["refresh_token"]}

    statuses = [(await client.post(REFRESH, json=body)).status_code for _ in range(2)]

    assert statuses == [200, 401]
    assert (await names(tables))[-1] == "token_reused"


async def test_forbidden_requests_keep_their_events(
    client: httpx2.AsyncClient, tables: Tables
) -> None:
    passwords = {"current_password": "not it", "new_password": PASSWORD}

    by_role = await client.get("/api/v1/users")
    by_password = await client.put(f"{ME}/password", json=passwords)

    assert by_role.status_code == by_password.status_code == 403
    assert (await names(tables))[-2:] == ["forbidden", "forbidden"]


async def test_what_is_rolled_back_did_not_happen(
    client: httpx2.AsyncClient, tables: Tables
) -> None:
    with pytest.raises(httpx2.HTTPStatusError, match="409"):
        await register(client, "ada@example.com")

    assert (await names(tables)).count("registered") == 1


async def test_every_event_is_one_log_line_and_names_nobody(
    new_client: NewClient, tables: Tables
) -> None:
    with capture_logs() as lines:
        client = await new_client("ada@example.com")
        await client.post(TOKEN, data={"username": "eve@example.com", "password": "x"})
        await client.delete(ME)

    events = await tables.run(EVENTS)
    kept = [event["event"] for event in events]
    assert kept == ["registered", "signed_in", "sign_in_failed", "deactivated"]
    assert [line["event"] for line in lines if line["event"] in kept] == kept
    for words in ("example.com", "Ada", PASSWORD, "127.0.0.1"):
        assert words not in str(events)
        assert words not in str(lines)
