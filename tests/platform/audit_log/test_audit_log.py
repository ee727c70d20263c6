"""Security events are stored, those of refused requests as well."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx2
import pytest
from structlog.testing import capture_logs

from ..accounts import PASSWORD, NewAccount, register, sign_in
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


async def test_events_of_an_account_are_stored(ada: httpx2.AsyncClient, tables: Tables) -> None:
    new_password = "another long and quiet river"
    passwords = {"current_password": PASSWORD, "new_password": new_password}
    await ada.put(f"{ME}/password", json=passwords)
    await sign_in(ada, "ada@example.com", new_password)
    await ada.delete(ME)

    assert await names(tables) == [
        "registered",
        "signed_in",
        "password_changed",
        "signed_in",
        "deactivated",
    ]


@pytest.mark.needs("api_keys")
async def test_events_of_a_key_are_stored(ada: httpx2.AsyncClient, tables: Tables) -> None:
    key = await ada.post("/api/v1/api-keys", json={"name": "Import"})
    for _ in range(2):
        await ada.delete(f"/api/v1/api-keys/{key.json()['id']}")

    assert (await names(tables))[2:] == ["api_key_created", "api_key_revoked"]


@pytest.mark.needs("api_keys")
async def test_event_names_its_user_and_its_request(
    ada: httpx2.AsyncClient, tables: Tables
) -> None:
    me = (await ada.get(ME)).json()

    response = await ada.post("/api/v1/api-keys", json={"name": "Import"})

    event = await last_event(tables)
    assert UUID(str(event["user_id"])) == UUID(me["id"])
    assert UUID(str(event["subject_id"])) == UUID(response.json()["id"])
    assert event["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize("email", ["ada@example.com", "unknown@example.com"])
async def test_failed_sign_in_keeps_its_event(
    ada: httpx2.AsyncClient, tables: Tables, email: str
) -> None:
    form = {"username": email, "password": "not the password"}

    response = await ada.post(TOKEN, data=form)

    assert response.status_code == 401
    event = await last_event(tables)
    assert event["event"] == "sign_in_failed"
    assert (event["user_id"] is not None) is (email == "ada@example.com")


async def test_reused_token_keeps_its_event(ada: httpx2.AsyncClient, tables: Tables) -> None:
    pair = await sign_in(ada, "ada@example.com")
    body = {"refresh_token": pair["refresh_token"]}

    statuses = [(await ada.post(REFRESH, json=body)).status_code for _ in range(2)]

    assert statuses == [200, 401]
    assert (await names(tables))[-1] == "token_reused"


async def test_forbidden_requests_keep_their_events(
    ada: httpx2.AsyncClient, tables: Tables
) -> None:
    passwords = {"current_password": "not it", "new_password": PASSWORD}

    by_role = await ada.get("/api/v1/users")
    by_password = await ada.put(f"{ME}/password", json=passwords)

    assert by_role.status_code == by_password.status_code == 403
    assert (await names(tables))[-2:] == ["forbidden", "forbidden"]


async def test_rolled_back_event_is_not_stored(ada: httpx2.AsyncClient, tables: Tables) -> None:
    with pytest.raises(httpx2.HTTPStatusError, match="409"):
        await register(ada, "ada@example.com")

    assert (await names(tables)).count("registered") == 1


async def test_every_event_is_one_log_line_without_personal_data(
    new_account: NewAccount, tables: Tables
) -> None:
    with capture_logs() as lines:
        ada = await new_account("ada@example.com")
        await ada.post(TOKEN, data={"username": "eve@example.com", "password": "x"})
        await ada.delete(ME)

    events = await tables.run(EVENTS)
    kept = [event["event"] for event in events]
    assert kept == ["registered", "signed_in", "sign_in_failed", "deactivated"]
    assert [line["event"] for line in lines if line["event"] in kept] == kept
    for words in ("example.com", "Ada", PASSWORD, "127.0.0.1"):
        assert words not in str(events)
        assert words not in str(lines)
