"""Unexpected errors are reported to Sentry once, without personal data."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import httpx2
import pytest
import sentry_sdk
from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel, ValidationError
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from order_service.core.about import DISTRIBUTION, VERSION
from order_service.core.configuration import SettingsError
from order_service.core.errors import ConflictError, UnavailableError
from order_service.core.export.shutdown import SECONDS_TO_END
from order_service.main import create_app
from order_service.settings import Settings

from ..clients import client_of, running
from ..reports import FakeTransport, fake_transports, reporting

SECRETS = ("hunter2", "ada@example.com", "eyJhbGciOiJIUzI1NiJ9", "4111 1111 1111 1111")


@pytest.fixture
def transports(monkeypatch: pytest.MonkeyPatch) -> list[FakeTransport]:
    """Keep the reports of applications that are started from now on."""
    return fake_transports(monkeypatch)


@pytest.fixture
def reporting_app(settings: Settings) -> FastAPI:
    """Build an application that reports; a test adds routes that fail."""
    return create_app(reporting(settings))


@asynccontextmanager
async def client_while_running(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Run an application, and open a client of it."""
    async with running(app) as service, client_of(service) as client:
        yield client


class Card(BaseModel):
    """A model whose validation errors quote the input."""

    number: int


async def test_report_describes_the_error_without_personal_data(
    reporting_app: FastAPI, transports: list[FakeTransport]
) -> None:
    @reporting_app.post("/accounts/{account_id}/close")
    async def close_account(account_id: str) -> None:
        password = f"hunter2 of {account_id}"
        message = (
            "cannot close 'hunter2' of ada@example.com with password=hunter2 and card "
            "4111 1111 1111 1111 at postgresql://ada:hunter2@db/orders?sslkey=hunter2\n"
            f"DETAIL: {password}"
        )
        try:
            Card.model_validate({"number": "hunter2"})
        except ValidationError as error:
            raise RuntimeError(message) from error

    async with client_while_running(reporting_app) as client:
        response = await client.post(
            "/accounts/hunter2/close?token=hunter2",
            json={"password": "hunter2"},
            headers={
                "Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl",
                "Cookie": "session=hunter2",
                "X-Request-ID": "request-42",
                "X-Forwarded-For": "192.0.2.7",
            },
        )

    assert response.status_code == 500
    (event,) = transports[0].events
    assert event["release"] == f"{DISTRIBUTION}@{VERSION}"
    assert event["environment"] == "test"
    assert event["transaction"] == "/accounts/{account_id}/close"
    assert event["tags"] == {"http.method": "POST", "request_id": "request-42"}
    cause, error = event["exception"]["values"]
    assert (cause["type"], error["type"]) == ("ValidationError", "RuntimeError")
    assert error["value"].startswith("cannot close [hidden] of [hidden] with password=")
    assert not error["mechanism"]["handled"]
    functions = [frame["function"] for frame in error["stacktrace"]["frames"]]
    assert functions[-1] == "close_account"
    # Source lines are part of a report, and those of this test hold the secrets.
    for error in event["exception"]["values"]:
        for frame in error["stacktrace"]["frames"]:
            for part in ("pre_context", "context_line", "post_context"):
                frame.pop(part, None)
            assert "vars" not in frame
    for secret in (*SECRETS, "192.0.2.7"):
        assert secret not in json.dumps(event)
    assert not event.keys() & {"request", "user", "breadcrumbs", "extra", "modules"}


async def test_each_error_is_reported_once_wherever_it_is_raised(
    reporting_app: FastAPI, transports: list[FakeTransport]
) -> None:
    class FailingMiddleware:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"] == "/middleware":
                message = "in middleware"
                raise RuntimeError(message)
            await self.app(scope, receive, send)

    def fail(where: str) -> None:
        raise RuntimeError(where)

    # Among the layers that can refuse a request.
    reporting_app.user_middleware.insert(-1, Middleware(FailingMiddleware))

    @reporting_app.get("/route")
    def in_thread() -> None:
        fail("in a route")

    @reporting_app.get("/background")
    async def in_background(tasks: BackgroundTasks) -> None:
        tasks.add_task(fail, "in the background")

    async with client_while_running(reporting_app) as client:
        for path in ("/route", "/middleware"):
            assert (await client.get(path)).status_code == 500
        with pytest.raises(RuntimeError):
            await client.get("/background")

    assert [
        (event["transaction"], event["exception"]["values"][-1]["value"])
        for event in transports[0].events
    ] == [
        ("/route", "in a route"),
        ("unmatched", "in middleware"),
        ("/background", "in the background"),
    ]


async def test_expected_errors_are_not_reported(
    reporting_app: FastAPI, transports: list[FakeTransport]
) -> None:
    expected = {
        "conflict": ConflictError("It is taken."),
        "unavailable": UnavailableError("It is unavailable."),
        "http": HTTPException(404),
        "connection": ConnectionRefusedError(),
    }

    @reporting_app.get("/refuse/{kind}")
    async def refuse(kind: str, *, often: bool = False) -> None:  # noqa: ARG001 - FastAPI validates it.
        raise expected[kind]

    async with client_while_running(reporting_app) as client:
        statuses = [(await client.get(f"/refuse/{kind}")).status_code for kind in expected]
        statuses.append((await client.get("/refuse/http?often=hunter2")).status_code)
        statuses.append((await client.get("/nowhere")).status_code)

    assert statuses == [409, 503, 404, 503, 422, 404]
    assert transports[0].events == []


async def test_tags_of_a_request_do_not_reach_the_next_one(
    reporting_app: FastAPI, transports: list[FakeTransport]
) -> None:
    @reporting_app.get("/odd")
    async def capture_a_message() -> None:
        sentry_sdk.set_tag("shop", "42")
        sentry_sdk.capture_message("odd")

    @reporting_app.get("/fail")
    async def fail() -> None:
        raise RuntimeError

    async with client_while_running(reporting_app) as client:
        await client.get("/odd", headers={"X-Request-ID": "request-1"})
        await client.get("/fail", headers={"X-Request-ID": "request-2"})

    odd, failed = transports[0].events
    assert odd["message"] == "odd"
    assert (odd["tags"]["shop"], odd["tags"]["request_id"]) == ("42", "request-1")
    assert "shop" not in failed["tags"]
    assert failed["tags"]["request_id"] == "request-2"


async def test_applications_do_not_share_reports(
    settings: Settings, transports: list[FakeTransport]
) -> None:
    apps = [create_app(reporting(settings)) for _ in range(2)]
    unreported = create_app(settings)
    for app in (*apps, unreported):

        @app.get("/fail")
        async def fail() -> None:
            raise RuntimeError

    async with client_while_running(apps[0]) as first:
        async with client_while_running(apps[1]) as second:
            await second.get("/fail")
            await first.get("/fail")
        async with client_while_running(unreported) as third:
            await third.get("/fail")
        await first.get("/fail")

    assert [len(transport.events) for transport in transports] == [2, 1]
    assert not sentry_sdk.get_client().is_active()
    assert sentry_sdk.capture_message("after the end") is None


async def test_hanging_sentry_delays_no_response_and_shutdown_by_a_limited_time(
    settings: Settings,
) -> None:
    # It accepts connections and never responds.
    with socket.create_server(("127.0.0.1", 0), backlog=8) as hanging:
        dsn = f"http://key@127.0.0.1:{hanging.getsockname()[1]}/1"
        app = create_app(reporting(settings, dsn))

        @app.get("/fail")
        async def fail() -> None:
            raise RuntimeError

        async with client_while_running(app) as client:
            started = monotonic()
            for _ in range(20):
                assert (await client.get("/fail")).status_code == 500
            stopping = monotonic()
        stopped = monotonic()

    assert stopping - started < SECONDS_TO_END
    assert stopped - stopping < SECONDS_TO_END + 1


@pytest.mark.parametrize("dsn", ["hunter2", "https://hunter2/1", "https://key@host/x"])
def test_invalid_dsn_is_rejected(monkeypatch: pytest.MonkeyPatch, dsn: str) -> None:
    monkeypatch.setenv("SENTRY_DSN", dsn)

    with pytest.raises(SettingsError, match="SENTRY_DSN: must look like") as caught:
        Settings.load()

    assert dsn not in str(caught.value)


async def test_nothing_is_reported_without_a_dsn(
    settings: Settings, transports: list[FakeTransport]
) -> None:
    app = create_app(reporting(settings, dsn=""))

    @app.get("/fail")
    async def fail() -> None:
        raise RuntimeError

    async with client_while_running(app) as client:
        assert (await client.get("/fail")).status_code == 500

    assert transports == []
