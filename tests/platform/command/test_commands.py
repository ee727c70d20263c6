"""The commands of the service that run to their end."""

import json
import os
import re
from pathlib import Path

import anyio
import pytest

from order_service.main import create_app
from order_service.settings import Settings

from ..accounts import ADA, PASSWORD, sign_in
from ..clients import client_of, running
from ..serving import environment_of, free_port, run, run_here


def test_invalid_settings_are_all_reported(settings: Settings) -> None:
    broken = environment_of(settings, LOG_LEVEL="hunter2", PORT="hunter2")

    for verb in ("serve", "check-config"):
        completed = run_here(verb, environment=broken)

        assert completed.returncode == 2
        assert "LOG_LEVEL: " in completed.stderr
        assert "PORT: " in completed.stderr
        assert "hunter2" not in completed.stderr
        assert "Traceback" not in completed.stderr


def test_valid_settings_are_confirmed(settings: Settings) -> None:
    completed = run("check-config", environment=environment_of(settings))

    assert completed.returncode == 0
    assert "production" in completed.stdout


def test_openapi_document_needs_no_settings(tmp_path: Path) -> None:
    completed = run_here("openapi", environment={"PATH": os.environ["PATH"]}, directory=tmp_path)

    assert completed.returncode == 0, completed.stderr
    assert "/health" in json.loads(completed.stdout)["paths"]


@pytest.mark.needs("database")
def test_migrating_twice_changes_nothing(settings: Settings) -> None:
    for _ in range(2):
        completed = run_here("migrate", environment=environment_of(settings))

        assert completed.returncode == 0, completed.stderr
        assert "newest schema" in completed.stdout


@pytest.mark.needs("postgresql")
def test_unreachable_database_is_reported(settings: Settings) -> None:
    url = f"postgresql://user:hunter2@127.0.0.1:{free_port()}/orders"

    completed = run_here("migrate", environment=environment_of(settings, DATABASE_URL=url))

    assert completed.returncode == 1
    assert "The database 127.0.0.1/orders does not respond" in completed.stderr
    assert "hunter2" not in completed.stderr
    assert "Traceback" not in completed.stderr


async def list_users(settings: Settings) -> list[dict[str, str]]:
    """Sign in as Ada and list all users."""
    async with running(create_app(settings)) as service, client_of(service) as client:
        await sign_in(client, ADA)
        users: list[dict[str, str]] = (await client.get("/api/v1/users")).json()["items"]
        return users


@pytest.mark.needs("auth")
def test_created_admin_can_sign_in_and_list_users(settings: Settings) -> None:
    new_user = ["create-user", "--email", "Ada@example.com", "--full-name", "Ada"]
    environment = environment_of(settings, NEW_USER_PASSWORD=PASSWORD)

    created = run_here(*new_user, "--admin", environment=environment)
    again = run_here(*new_user, environment=environment)
    too_short = run_here(*new_user, environment={**environment, "NEW_USER_PASSWORD": "x"})

    registered, added = created.stdout.splitlines()
    assert created.returncode == 0, created.stderr
    assert json.loads(registered)["event"] == "registered"
    # As a word: the digits of an id may spell it by chance.
    assert not re.search(r"\bada\b", registered.lower())
    assert added == "Added ada@example.com."
    assert again.returncode == 1
    assert "already registered" in again.stderr
    assert too_short.returncode == 2
    assert "password" in too_short.stderr
    assert [(user["email"], user["role"]) for user in anyio.run(list_users, settings)] == [
        (ADA, "admin")
    ]
