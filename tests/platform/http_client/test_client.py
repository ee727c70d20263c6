"""Calls to an upstream service that is slow, broken or gone."""

import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import monotonic
from typing import Any

import anyio
import httpx2
import pytest
import stamina
from fastapi import APIRouter, FastAPI
from structlog.contextvars import bound_contextvars
from structlog.testing import capture_logs

from order_service.core.http_client import circuit_breaker
from order_service.core.http_client.circuit_breaker import (
    FAILURES_TO_OPEN,
    PAUSE_SECONDS,
    CircuitOpenError,
)
from order_service.core.http_client.client import (
    ATTEMPTS,
    HttpClient,
    HttpClientDep,
    open_http_client,
)
from order_service.core.http_client.errors import UpstreamError, UpstreamUnavailableError
from order_service.settings import Settings

from ..clients import client_of, running
from ..upstream import (
    Behaviour,
    Upstream,
    babble,
    drip,
    hang,
    open_upstream,
    reset,
    respond,
    until,
)

SECONDS = 0.4
"""The timeout of a call in the tests of timeouts."""


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """Open an upstream service."""
    async with open_upstream() as upstream:
        yield upstream


@asynccontextmanager
async def client_with(**changes: object) -> AsyncIterator[HttpClient]:
    """Open a client with other settings than the defaults."""
    settings = Settings.for_schema().model_copy(update=changes)
    async with open_http_client(settings) as http:
        yield http


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    """Open a client without backoff before retries."""
    with stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
        async with client_with() as http:
            yield http


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of the circuit breakers."""
    clock = Clock()
    monkeypatch.setattr(circuit_breaker, "monotonic", clock)
    return clock


async def test_response_is_returned(http: HttpClient, upstream: Upstream) -> None:
    upstream.will(respond(201, b'{"id": 7}', Content_Type="application/json"))

    response = await http.request(
        "POST", f"{upstream.url}/things", params={"a": "b c"}, json={"name": "Lamp"}
    )

    assert (response.status_code, response.json()) == (201, {"id": 7})
    (request,) = upstream.received
    assert (request.method, request.target) == ("POST", "/things?a=b+c")
    assert json.loads(request.body) == {"name": "Lamp"}
    assert request.headers["user-agent"].startswith("order-service/")


async def test_request_id_is_propagated(http: HttpClient, upstream: Upstream) -> None:
    with bound_contextvars(request_id="abc"):
        await http.request("GET", upstream.url)
        await http.request("GET", upstream.url, headers={"X-Request-ID": "mine"})
    await http.request("GET", upstream.url)

    sent = [request.headers.get("x-request-id") for request in upstream.received]
    assert sent == ["abc", "mine", None]


async def test_connection_is_reused(http: HttpClient, upstream: Upstream) -> None:
    for _ in range(3):
        await http.request("GET", upstream.url)

    assert upstream.connections == 1


async def test_cookies_are_not_kept(http: HttpClient, upstream: Upstream) -> None:
    upstream.will(respond(Set_Cookie="session=hunter2"))

    for _ in range(2):
        await http.request("GET", upstream.url)

    assert "cookie" not in upstream.received[-1].headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "failure",
    [reset, babble, respond(429), respond(502), respond(503), respond(504)],
    ids=["reset", "babble", "429", "502", "503", "504"],
)
async def test_transient_failure_of_an_idempotent_call_is_retried(
    http: HttpClient, upstream: Upstream, method: str, failure: Behaviour
) -> None:
    upstream.will(failure, respond())

    response = await http.request(method, upstream.url)

    assert response.status_code == 200
    assert len(upstream.received) == 2


async def test_number_of_attempts_is_bounded(http: HttpClient, upstream: Upstream) -> None:
    upstream.will(respond(503))

    with pytest.raises(UpstreamUnavailableError) as caught:
        await http.request("GET", upstream.url)

    assert caught.value.status == 503
    assert len(upstream.received) == ATTEMPTS


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("failure", [reset, respond(503)], ids=["reset", "503"])
async def test_call_that_is_not_idempotent_is_not_retried(
    http: HttpClient, upstream: Upstream, method: str, failure: Behaviour
) -> None:
    upstream.will(failure, respond())

    with pytest.raises(UpstreamUnavailableError):
        await http.request(method, upstream.url, json={})

    assert len(upstream.received) == 1


async def test_call_with_an_idempotency_key_is_retried(
    http: HttpClient, upstream: Upstream
) -> None:
    upstream.will(reset, respond(503), respond(201))

    await http.request("POST", upstream.url, content="text", idempotency_key="k1")

    sent = [(request.headers["idempotency-key"], request.body) for request in upstream.received]
    assert sent == [("k1", b"text")] * 3


@pytest.mark.parametrize("status", [302, 304, 400, 404, 409, 500, 501])
async def test_other_statuses_are_errors_without_a_retry(
    http: HttpClient, upstream: Upstream, status: int
) -> None:
    upstream.will(respond(status))

    with pytest.raises(UpstreamError) as caught:
        await http.request("GET", upstream.url)

    assert not isinstance(caught.value, UpstreamUnavailableError)
    assert caught.value.status == status
    assert len(upstream.received) == 1


@pytest.mark.parametrize("status", [304, 404, 503])
async def test_accepted_statuses_are_returned(
    http: HttpClient, upstream: Upstream, status: int
) -> None:
    upstream.will(respond(status))

    response = await http.request("GET", upstream.url, accept={304, 404, 503})

    assert response.status_code == status
    assert len(upstream.received) == 1


async def test_redirect_is_not_followed(http: HttpClient, upstream: Upstream) -> None:
    upstream.will(respond(302, Location=f"{upstream.url}/elsewhere"), respond())

    response = await http.request("GET", upstream.url, accept={302})

    assert response.headers["Location"].endswith("/elsewhere")
    assert [request.target for request in upstream.received] == ["/"]


@pytest.mark.parametrize("behaviour", [hang, drip], ids=["hang", "drip"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_timeout_covers_the_whole_call(
    upstream: Upstream, behaviour: Behaviour, method: str
) -> None:
    upstream.will(behaviour)
    started = monotonic()

    async with client_with(http_seconds=SECONDS) as http:
        with anyio.fail_after(20), pytest.raises(UpstreamUnavailableError):
            await http.request(method, upstream.url)

    assert monotonic() - started > SECONDS * 0.9
    await until(lambda: upstream.connections == 0)


async def test_timeout_of_one_attempt_leaves_time_for_a_retry(upstream: Upstream) -> None:
    upstream.will(hang, respond())

    async with client_with(http_seconds=2) as http:
        response = await http.request("GET", upstream.url)

    assert response.status_code == 200


async def test_single_attempt_has_the_whole_timeout(upstream: Upstream) -> None:
    async def late(stream: anyio.abc.SocketStream) -> None:
        await anyio.sleep(1.2)
        await respond()(stream)

    upstream.will(late)

    async with client_with(http_seconds=2) as http:
        response = await http.request("POST", upstream.url)

    assert response.status_code == 200


async def test_retries_back_off(upstream: Upstream) -> None:
    upstream.will(respond(503), respond())
    started = monotonic()

    async with client_with() as http:
        await http.request("GET", upstream.url)

    assert monotonic() - started >= 0.1


def in_a_second() -> str:
    """Format the second after next as an HTTP date, which has no fractions."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)


@pytest.mark.parametrize("retry_after", [lambda: "1", in_a_second], ids=["1", "date"])
async def test_retry_after_is_obeyed(upstream: Upstream, retry_after: Callable[[], str]) -> None:
    upstream.will(respond(503, Retry_After=retry_after()), respond())
    started = monotonic()

    async with client_with() as http:
        await http.request("GET", upstream.url)

    assert monotonic() - started >= 0.9


@pytest.mark.parametrize("retry_after", ["60", "9" * 400])
async def test_retry_after_beyond_the_timeout_fails_at_once(
    upstream: Upstream, retry_after: str
) -> None:
    upstream.will(respond(429, Retry_After=retry_after))
    started = monotonic()

    async with client_with() as http:
        with pytest.raises(UpstreamUnavailableError) as caught:
            await http.request("GET", upstream.url)

    assert caught.value.status == 429
    assert monotonic() - started < 5
    assert len(upstream.received) == 1


@pytest.mark.parametrize("retry_after", ["soon", "", "-1", "Thu, 01 Jan 1970 00:00:00"])
async def test_invalid_or_past_retry_after_is_ignored(
    http: HttpClient, upstream: Upstream, retry_after: str
) -> None:
    upstream.will(respond(503, Retry_After=retry_after), respond())

    response = await http.request("GET", upstream.url)

    assert response.status_code == 200


LIMIT = 10_000


@pytest.mark.parametrize(
    "big",
    [
        respond(body=b"x" * (LIMIT + 1)),
        respond(body=gzip.compress(b"x" * 5_000_000), Content_Encoding="gzip"),
    ],
    ids=["plain", "compressed"],
)
async def test_oversized_response_is_refused(upstream: Upstream, big: Behaviour) -> None:
    upstream.will(big)

    async with client_with(http_max_response_bytes=LIMIT) as http:
        with capture_logs() as events, pytest.raises(UpstreamError):
            await http.request("GET", upstream.url)

    assert [event["reason"] for event in events] == ["too_large"]
    assert len(upstream.received) == 1


async def test_response_of_the_maximum_size_is_returned(upstream: Upstream) -> None:
    body = b"x" * LIMIT
    upstream.will(respond(body=gzip.compress(body), Content_Encoding="gzip"))

    async with client_with(http_max_response_bytes=LIMIT) as http:
        response = await http.request("GET", upstream.url)

    assert response.content == body
    assert response.headers["Content-Length"] == str(LIMIT)


async def test_undecodable_response_is_an_error(http: HttpClient, upstream: Upstream) -> None:
    upstream.will(respond(body=b"no gzip", Content_Encoding="gzip"))

    with capture_logs() as events, pytest.raises(UpstreamError):
        await http.request("GET", upstream.url)

    assert [event["reason"] for event in events] == ["undecodable"]


@pytest.mark.parametrize(
    "url",
    ["ftp://example.com/x", "file:///etc/passwd", "/x", "example.com", "http:///x"],
)
async def test_other_schemes_are_refused(http: HttpClient, url: str) -> None:
    with pytest.raises(ValueError, match="Only http and https"):
        await http.request("GET", url)


async def test_local_errors_do_not_open_the_circuit(http: HttpClient, upstream: Upstream) -> None:
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(httpx2.LocalProtocolError):
            await http.request("GET", upstream.url, headers={"X-Name": "a\nb"})

    await http.request("GET", upstream.url)


async def test_cancelled_call_releases_its_connection(upstream: Upstream) -> None:
    upstream.will(hang, respond())

    async with client_with(http_max_connections=1) as http:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(http.request, "GET", upstream.url)
            await until(lambda: len(upstream.received) == 1)
            with capture_logs() as events:
                tasks.cancel_scope.cancel()

        await until(lambda: upstream.connections == 0)
        # Its connection is free again.
        await http.request("GET", upstream.url)

    assert len(upstream.received) == 2
    assert events == []


async def test_exhausted_pool_does_not_open_the_circuit(
    upstream: Upstream,
) -> None:
    upstream.will(hang, respond())

    async with client_with(http_max_connections=1, http_seconds=1) as http:
        async with anyio.create_task_group() as busy:
            busy.start_soon(http.request, "POST", upstream.url)
            await until(lambda: len(upstream.received) == 1)
            with capture_logs() as events:
                async with anyio.create_task_group() as waiting:
                    for _ in range(FAILURES_TO_OPEN + 1):
                        waiting.start_soon(fail, http, upstream.url)
            busy.cancel_scope.cancel()
        await http.request("GET", upstream.url)

    reasons = [event["reason"] for event in events]
    assert reasons == ["pool_exhausted"] * (FAILURES_TO_OPEN + 1)
    assert len(upstream.received) == 2


@pytest.fixture
def _proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    # No proxy listens there.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")


@pytest.mark.usefixtures("_proxied")
async def test_proxy_of_the_environment_is_opt_in(upstream: Upstream) -> None:
    async with client_with() as http:
        await http.request("GET", upstream.url)
    async with client_with(http_proxy_from_environment=True) as http:
        with pytest.raises(UpstreamUnavailableError):
            await http.request("POST", upstream.url)

    assert len(upstream.received) == 1


async def fail(http: HttpClient, url: str, times: int = 1) -> None:
    """Make calls that fail and are not retried."""
    for _ in range(times):
        with pytest.raises(UpstreamError):
            await http.request("POST", url)


@pytest.mark.parametrize("failure", [reset, respond(500)], ids=["reset", "500"])
async def test_circuit_opens_after_failures(
    http: HttpClient, upstream: Upstream, clock: Clock, failure: Behaviour
) -> None:
    upstream.will(failure)

    await fail(http, upstream.url, FAILURES_TO_OPEN)
    with pytest.raises(CircuitOpenError, match="keeps failing"):
        await http.request("GET", upstream.url)
    clock.now += PAUSE_SECONDS * 0.99
    with pytest.raises(CircuitOpenError):
        await http.request("GET", upstream.url)

    assert len(upstream.received) == FAILURES_TO_OPEN


async def test_only_consecutive_failures_open_the_circuit(
    http: HttpClient, upstream: Upstream
) -> None:
    failures = [respond(500)] * (FAILURES_TO_OPEN - 1)
    upstream.will(*failures, respond(404), *failures, respond())

    await fail(http, upstream.url, 2 * FAILURES_TO_OPEN - 1)

    await http.request("GET", upstream.url)


@pytest.mark.parametrize("status", [302, 400, 404, 429])
async def test_client_errors_do_not_open_the_circuit(
    http: HttpClient, upstream: Upstream, status: int
) -> None:
    upstream.will(respond(status))

    await fail(http, upstream.url, 2 * FAILURES_TO_OPEN)

    assert len(upstream.received) == 2 * FAILURES_TO_OPEN


async def test_timeouts_open_the_circuit(upstream: Upstream) -> None:
    upstream.will(drip)

    async with client_with(http_seconds=0.05) as http:
        await fail(http, upstream.url, FAILURES_TO_OPEN)
        with pytest.raises(CircuitOpenError):
            await http.request("GET", upstream.url)


@pytest.mark.usefixtures("clock")
async def test_circuits_are_per_host(http: HttpClient, upstream: Upstream) -> None:
    upstream.will(reset)
    await fail(http, upstream.url, FAILURES_TO_OPEN)

    async with open_upstream() as other:
        await http.request("GET", other.url)

    assert len(other.received) == 1


async def test_half_open_circuit_lets_one_probe_through(
    http: HttpClient, upstream: Upstream, clock: Clock
) -> None:
    is_released = anyio.Event()

    async def respond_late(stream: anyio.abc.SocketStream) -> None:
        await is_released.wait()
        await respond()(stream)

    upstream.will(respond(500))
    await fail(http, upstream.url, FAILURES_TO_OPEN)
    upstream.will(respond_late, respond())
    clock.now += PAUSE_SECONDS

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(http.request, "GET", upstream.url)
        await until(lambda: len(upstream.received) == FAILURES_TO_OPEN + 1)
        for _ in range(10):
            with pytest.raises(CircuitOpenError):
                await http.request("GET", upstream.url)
        is_released.set()

    assert len(upstream.received) == FAILURES_TO_OPEN + 1
    await http.request("GET", upstream.url)
    # The count starts from zero: it takes as many failures to open again.
    upstream.will(respond(500))
    await fail(http, upstream.url, FAILURES_TO_OPEN - 1)
    upstream.will(respond())
    await http.request("GET", upstream.url)


async def test_failed_probe_reopens_the_circuit(
    http: HttpClient, upstream: Upstream, clock: Clock
) -> None:
    upstream.will(respond(503))
    await fail(http, upstream.url, FAILURES_TO_OPEN)
    for round_number in range(1, 4):
        clock.now += PAUSE_SECONDS

        with pytest.raises(UpstreamUnavailableError):
            await http.request("GET", upstream.url)

        assert len(upstream.received) == FAILURES_TO_OPEN + round_number


async def test_cancelled_probe_leaves_the_circuit_half_open(
    http: HttpClient, upstream: Upstream, clock: Clock
) -> None:
    upstream.will(respond(500))
    await fail(http, upstream.url, FAILURES_TO_OPEN)
    upstream.will(hang, respond())
    clock.now += PAUSE_SECONDS

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(http.request, "GET", upstream.url)
        await until(lambda: len(upstream.received) == FAILURES_TO_OPEN + 1)
        tasks.cancel_scope.cancel()

    # The next call is the probe.
    await http.request("GET", upstream.url)


async def test_calls_from_before_the_circuit_opened_do_not_close_it(
    http: HttpClient, upstream: Upstream, clock: Clock
) -> None:
    is_released = anyio.Event()

    async def respond_late(stream: anyio.abc.SocketStream) -> None:
        await is_released.wait()
        await respond()(stream)

    upstream.will(respond_late, respond(500))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(http.request, "GET", upstream.url)
        await until(lambda: len(upstream.received) == 1)
        await fail(http, upstream.url, FAILURES_TO_OPEN)
        is_released.set()

    with pytest.raises(CircuitOpenError):
        await http.request("GET", upstream.url)
    clock.now += PAUSE_SECONDS
    upstream.will(respond())
    await http.request("GET", upstream.url)


@pytest.mark.usefixtures("clock")
async def test_failed_call_is_one_log_event_without_its_url(
    http: HttpClient, upstream: Upstream
) -> None:
    upstream.will(respond(503))

    with capture_logs() as events, pytest.raises(UpstreamUnavailableError):
        await http.request("GET", f"{upstream.url}/hooks/hunter2?token=hunter2")

    (event,) = events
    assert event.pop("duration_ms") >= 0
    assert event == {
        "event": "http_call_failed",
        "log_level": "warning",
        "method": "GET",
        "host": upstream.url.removeprefix("http://"),
        "status": 503,
        "reason": "status",
        "attempts": ATTEMPTS,
    }


@pytest.mark.parametrize(
    ("behaviour", "seconds", "reason"),
    [
        (reset, 20, "ReadError"),
        (babble, 20, "RemoteProtocolError"),
        (drip, SECONDS, "deadline"),
    ],
    ids=["reset", "babble", "drip"],
)
async def test_log_event_names_the_reason(
    upstream: Upstream, behaviour: Behaviour, seconds: float, reason: str
) -> None:
    upstream.will(behaviour)

    async with client_with(http_seconds=seconds) as http:
        with capture_logs() as events, pytest.raises(UpstreamUnavailableError):
            await http.request("POST", upstream.url)

    assert [event["reason"] for event in events] == [reason]


async def test_circuit_changes_are_logged(
    http: HttpClient, upstream: Upstream, clock: Clock
) -> None:
    upstream.will(respond(500))

    with capture_logs() as events:
        await fail(http, upstream.url, FAILURES_TO_OPEN + 2)
        upstream.will(respond())
        clock.now += PAUSE_SECONDS
        await http.request("GET", upstream.url)

    changes = [event["event"] for event in events if event["event"] != "http_call_failed"]
    reasons = [event["reason"] for event in events if "reason" in event]
    assert changes == ["circuit_opened", "circuit_closed"]
    assert reasons == ["status"] * FAILURES_TO_OPEN + ["circuit_open"] * 2


async def test_retry_library_logs_nothing_itself(http: HttpClient, upstream: Upstream) -> None:
    upstream.will(respond(503), respond())

    with capture_logs() as events:
        await http.request("GET", upstream.url)

    assert events == []
    assert stamina.instrumentation.get_on_retry_hooks() == ()


router = APIRouter(prefix="/forwarding")


@router.get("/{path:path}")
async def forward(path: str, url: str, http: HttpClientDep) -> dict[str, Any]:
    """Call the upstream service."""
    response = await http.request("POST", f"{url}/{path}", params={"token": "hunter2"})
    body: dict[str, Any] = response.json()
    return body


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    """Return the application, with a route that calls another service."""
    app.include_router(router)
    return app


@pytest.mark.parametrize(
    ("status", "returned", "code"),
    [
        (404, 502, "upstream_failed"),
        (500, 502, "upstream_failed"),
        (503, 503, "upstream_unavailable"),
    ],
)
async def test_upstream_failure_is_a_problem(
    client: httpx2.AsyncClient,
    upstream: Upstream,
    caplog: pytest.LogCaptureFixture,
    *,
    status: int,
    returned: int,
    code: str,
) -> None:
    upstream.will(respond(status, b"hunter2"))

    response = await client.get("/forwarding/x", params={"url": upstream.url})

    assert response.status_code == returned
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == code
    assert ("Retry-After" in response.headers) is (returned == 503)
    assert "http_call_failed" in caplog.text
    assert "hunter2" not in response.text + caplog.text
    assert upstream.url not in response.text


async def test_request_id_of_the_caller_is_propagated(
    client: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.will(respond(body=b"{}"))

    response = await client.get(
        "/forwarding/x", params={"url": upstream.url}, headers={"X-Request-ID": "abc"}
    )

    assert response.status_code == 200
    assert upstream.received[0].headers["x-request-id"] == "abc"


async def test_disconnected_client_cancels_the_call(app: FastAPI, upstream: Upstream) -> None:
    upstream.will(hang)

    async with running(app) as service, client_of(service) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.get, f"/forwarding/x?url={upstream.url}")
            await until(lambda: len(upstream.received) == 1)
            tasks.cancel_scope.cancel()
        await until(lambda: upstream.connections == 0)
