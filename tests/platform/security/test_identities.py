"""A token that was just checked is accepted again, for a moment and only in one process."""

from time import time
from typing import Annotated, Any
from uuid import uuid4

import pytest
from fastapi import APIRouter, Depends, FastAPI

from order_service.core.security import identities as module
from order_service.core.security.identities import Identities, Identity
from order_service.main import create_app
from order_service.settings import Settings

from ..accounts import ADA, PASSWORD, register, sign_in
from ..clients import client_of, running
from ..service import feature_module

router = APIRouter()

Caller = Annotated[Any, Depends(feature_module("users", "dependencies").get_caller)]


@router.get("/who")
async def who(caller: Caller) -> str:
    """Return the id of the caller."""
    return str(caller.id)


def with_route(settings: Settings) -> FastAPI:
    """Build one process of the service."""
    app = create_app(settings)
    app.include_router(router)
    return app


@pytest.mark.parametrize(("seconds", "status"), [(60, 200), (0, 401)])
@pytest.mark.parametrize("change", ["password", "account"])
async def test_a_revocation_reaches_other_processes_within_the_setting(
    settings: Settings, seconds: float, status: int, change: str
) -> None:
    settings = settings.model_copy(update={"identity_seconds": seconds})
    async with (
        running(with_route(settings)) as here,
        running(with_route(settings)) as there,
        client_of(here) as client,
        client_of(there) as other,
    ):
        await register(client, ADA)
        await sign_in(client, ADA)
        other.headers["Authorization"] = client.headers["Authorization"]
        for one in (client, other):
            assert (await one.get("/who")).status_code == 200

        if change == "password":
            passwords = {"current_password": PASSWORD, "new_password": "a wide and slow river"}
            changed = await client.put("/api/v1/users/me/password", json=passwords)
        else:
            changed = await client.delete("/api/v1/users/me")
        assert changed.status_code == 204

        # The process that made the change knows of it, and a user's own data is always current.
        assert (await client.get("/who")).status_code == 401
        assert (await other.get("/who")).status_code == status
        assert (await other.get("/api/v1/users/me")).status_code == 401


def test_a_token_is_known_until_it_expires_at_most() -> None:
    known = Identities(seconds=60)
    user = Identity(uuid4(), "user")

    known.put("valid", user, time() + 60)
    known.put("expired", user, time() - 1)

    assert known.get("valid") == user
    assert known.get("expired") is None
    assert known.get("other") is None


def test_the_number_of_known_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TOKENS", 2)
    known = Identities(seconds=60)

    for token in ("first", "second", "first", "third"):
        known.put(token, Identity(uuid4(), "user"), time() + 60)

    assert known.get("second") is None
    assert known.get("first")
    assert known.get("third")
