"""Security events: stored with the change, and also for refused requests."""

import httpx2

from .sign_in import PASSWORD, sign_in
from .tables import Tables

ME = "/api/v1/users/me"
EVENTS = "SELECT * FROM audit_events ORDER BY created_at"


async def test_events_of_an_account_are_stored_in_order(
    client: httpx2.AsyncClient, tables: Tables
) -> None:
    new_password = "another long and quiet river"
    body = {"current_password": PASSWORD, "new_password": new_password}
    await client.put(f"{ME}/password", json=body)
    await sign_in(client, "ada@example.com", new_password)
    closed = await client.delete(ME)

    events = await tables.run(EVENTS)

    assert [event["event"] for event in events] == [
        *("registered", "signed_in", "password_changed", "signed_in", "deactivated")
    ]
    assert events[-1]["request_id"] == closed.headers["X-Request-ID"]
    assert "example.com" not in str(events)


async def test_refused_requests_keep_their_events(
    client: httpx2.AsyncClient, tables: Tables
) -> None:
    form = {"username": "ada@example.com", "password": "not the password"}

    await client.get("/api/v1/users")
    await client.post("/api/v1/auth/token", data=form)

    events = [event["event"] for event in await tables.run(EVENTS)]
    assert events[-2:] == ["forbidden", "sign_in_failed"]


async def test_rolled_back_request_stores_no_event(
    client: httpx2.AsyncClient, tables: Tables
) -> None:
    ada = {"email": "ada@example.com", "password": PASSWORD, "full_name": "Ada"}

    response = await client.post("/api/v1/users", json=ada)

    assert response.status_code == 409
    events = [event["event"] for event in await tables.run(EVENTS)]
    assert events.count("registered") == 1
