"""Spans describe the path of a request, and carry no content of it."""

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import httpx2
import pytest
import structlog
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags

from order_service.core.about import DISTRIBUTION, VERSION
from order_service.core.export.shutdown import SECONDS_TO_END
from order_service.main import create_app
from order_service.settings import Settings

from ..clients import client_of, running
from ..service import has
from ..spans import (
    UNUSED,
    KeptSpans,
    attributes_of,
    ids_of,
    keep_spans,
    open_collector,
    open_tracer_provider,
    parent_of,
    traced,
)
from ..upstream import open_upstream
from ..waiting import wait_until

if has("database"):
    from sqlalchemy import text

    from order_service.core.database.session import SessionDep
if has("http_client"):
    from order_service.core.http_client.client import HttpClientDep
    from order_service.core.http_client.errors import UpstreamError
if has("redis"):
    from redis.exceptions import RedisError

    from order_service.core.redis.client import open_redis
    from order_service.core.redis.spans import trace_redis

SECRETS = ("hunter2", "ada@example.com", "192.0.2.7")

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER_ID = "b7ad6b7169203331"
SAMPLED_BY_CALLER = {"traceparent": f"00-{TRACE_ID}-{CALLER_ID}-01"}
DROPPED_BY_CALLER = {"traceparent": f"00-{TRACE_ID}-{CALLER_ID}-00"}

HOSTILE_HEADERS = {
    "Authorization": "Bearer hunter2",
    "Cookie": "session=hunter2",
    "User-Agent": "hunter2",
    "X-Forwarded-For": "192.0.2.7",
    "X-Request-ID": "hunter2",
    "baggage": "user=hunter2",
    "tracestate": "vendor=hunter2",
    **SAMPLED_BY_CALLER,
}


@pytest.fixture
def settings(module_settings: Settings) -> Settings:
    """Share one database: these tests store nothing."""
    return module_settings


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> KeptSpans:
    """Keep the spans of applications that are built from now on."""
    return keep_spans(monkeypatch)


@asynccontextmanager
async def client_while_running(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Run an application, and open a client of it."""
    async with running(app) as service, client_of(service) as client:
        yield client


def assert_children_of_the_request(spans: KeptSpans, name: str) -> None:
    """Check that everything is part of the caller's trace, below one request."""
    (request,) = spans.named(name)
    assert request.kind is SpanKind.SERVER
    assert parent_of(request) == CALLER_ID
    for span in spans.get_finished_spans():
        assert ids_of(span)[0] == TRACE_ID
        if span is not request:
            assert span.kind is SpanKind.CLIENT
            assert parent_of(span) == ids_of(request)[1]


def names_besides_redis(spans: KeptSpans) -> list[str]:
    """Return the names of all spans without the commands that count for a rate limit."""
    counting = {"EVALSHA", "SCRIPT"}
    return [span.name for span in spans.get_finished_spans() if span.name not in counting]


async def test_span_of_a_request(settings: Settings, spans: KeptSpans) -> None:
    app = create_app(traced(settings))

    @app.get("/orders/{order_id}")
    async def read_order(order_id: str) -> str:
        return order_id

    async with client_while_running(app) as client:
        await client.get("/orders/hunter2?token=hunter2", headers=SAMPLED_BY_CALLER)

    (request,) = spans.named("GET /orders/{order_id}")
    assert attributes_of(request) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/orders/{order_id}",
        "network.protocol.version": "1.1",
        "url.scheme": "http",
    }
    assert names_besides_redis(spans) == ["GET /orders/{order_id}"]
    assert_children_of_the_request(spans, "GET /orders/{order_id}")


@pytest.mark.needs("redis", "rate_limits")
async def test_spans_of_a_rate_limit(settings: Settings, spans: KeptSpans) -> None:
    async with client_while_running(create_app(traced(settings))) as client:
        await client.get("/nowhere", headers=SAMPLED_BY_CALLER)

    commands = [span for span in spans.get_finished_spans() if span.kind is SpanKind.CLIENT]
    assert commands
    for span in commands:
        command = attributes_of(span)
        assert command.pop("server.address")
        command.pop("server.port", None)
        assert command == {
            "db.namespace": "0",
            "db.operation.name": span.name,
            "db.system.name": "redis",
        }


@pytest.mark.needs("database")
async def test_span_of_a_query(settings: Settings, spans: KeptSpans) -> None:
    app = create_app(traced(settings))

    @app.get("/query")
    async def query(session: SessionDep) -> None:
        await session.execute(text("SELECT 'hunter2', CAST(:number AS INTEGER)"), {"number": 42})

    async with client_while_running(app) as client:
        await client.get("/query", headers=SAMPLED_BY_CALLER)

    (span,) = spans.named("SELECT")
    attributes = attributes_of(span)
    assert attributes.pop("db.namespace")
    if has("postgresql"):
        assert attributes.pop("server.address")
        attributes.pop("server.port", None)
    placeholder = "$1" if has("postgresql") else "?"
    assert attributes == {
        "db.operation.name": "SELECT",
        "db.query.text": f"SELECT ?, CAST({placeholder} AS INTEGER)",
        "db.system.name": "postgresql" if has("postgresql") else "sqlite",
    }
    assert names_besides_redis(spans) == ["SELECT", "GET /query"]
    assert_children_of_the_request(spans, "GET /query")


@pytest.mark.needs("http_client")
async def test_span_of_an_outgoing_call(settings: Settings, spans: KeptSpans) -> None:
    app = create_app(traced(settings))

    async with open_upstream() as upstream:

        @app.get("/call")
        async def call(http: HttpClientDep) -> None:
            await http.request("POST", f"{upstream.url}/hooks/hunter2?token=hunter2")

        async with client_while_running(app) as client:
            await client.get("/call", headers=SAMPLED_BY_CALLER)
        (received,) = upstream.received

    (span,) = spans.named("POST")
    assert attributes_of(span) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": int(upstream.url.rpartition(":")[2]),
        "url.full": "http://127.0.0.1/[hidden]",
        "url.scheme": "http",
    }
    assert tuple(received.headers["traceparent"].split("-")[1:3]) == ids_of(span)
    assert names_besides_redis(spans) == ["POST", "GET /call"]
    assert_children_of_the_request(spans, "GET /call")


async def test_request_puts_no_secret_into_a_span(settings: Settings, spans: KeptSpans) -> None:
    app = create_app(traced(settings))

    @app.get("/secrets/{name}")
    async def describe() -> None:
        span = trace.get_current_span()
        span.set_attribute("note", "hunter2")
        span.set_attribute("http.request.header.authorization", ["Bearer hunter2"])
        span.set_attribute("app.note", "password=hunter2 of ada@example.com")
        span.set_attribute("app.notes", ["ada@example.com", "'hunter2'"])
        span.set_attribute("app.lines", 3)
        span.add_event("sent to ada@example.com", {"note": "hunter2", "app.sent": True})
        span.record_exception(RuntimeError("hunter2"))
        span.set_status(StatusCode.ERROR, "hunter2")

    @app.get("/fail")
    async def fail() -> None:
        secret = "hunter2"
        raise RuntimeError(secret)

    async with client_while_running(app) as client:
        for path in ("secrets/hunter2?token=hunter2", "ada@example.com", "fail"):
            await client.get(f"/{path}", headers=HOSTILE_HEADERS)
        await client.get("/fail", headers={**HOSTILE_HEADERS, "Host": "hunter2.example.com"})
        await client.request("HUNTER2", "/fail", headers=HOSTILE_HEADERS)

    for secret in SECRETS:
        assert secret not in spans.as_text()
    (described,) = spans.named("GET /secrets/{name}")
    attributes = attributes_of(described)
    assert attributes["app.lines"] == 3
    assert attributes["app.note"] == "password=[hidden] of [hidden]"
    assert [event.name for event in described.events] == ["sent to [hidden]", "exception"]
    assert dict(described.events[1].attributes or {}) == {"exception.type": "RuntimeError"}
    failed = spans.named("GET /fail")[-1]
    assert failed.status.status_code is StatusCode.ERROR
    assert [dict(event.attributes or {}) for event in failed.events] == [
        {"exception.type": "RuntimeError"}
    ]


@pytest.mark.needs("database")
async def test_query_puts_no_secret_into_a_span(settings: Settings, spans: KeptSpans) -> None:
    app = create_app(traced(settings))
    statements = ["SELECT 'hunter2', 'it''s hunter2', 151123456 /* 'ada@example.com' */"]
    if has("postgresql"):
        statements.append("SELECT $$hunter2$$, $tag$ada@example.com$tag$, E'hunter2'")

    @app.get("/query")
    async def query(session: SessionDep) -> None:
        for statement in statements:
            await session.execute(text(statement))
        # The message of such an error quotes the row.
        await session.execute(text("CREATE TEMPORARY TABLE odd (name TEXT UNIQUE)"))
        insert = text("INSERT INTO odd VALUES (:name)")
        await session.execute(insert, {"name": "hunter2"})
        with pytest.raises(Exception, match="odd"):
            await session.execute(insert, {"name": "hunter2"})
        await session.rollback()

    async with client_while_running(app) as client:
        assert (await client.get("/query")).status_code == 200

    assert len(spans.named("SELECT")) == len(statements)
    for secret in (*SECRETS, "151123456"):
        assert secret not in spans.as_text()


@pytest.mark.needs("http_client")
async def test_outgoing_call_puts_no_secret_into_a_span(
    settings: Settings, spans: KeptSpans
) -> None:
    app = create_app(traced(settings))

    @app.get("/call")
    async def call(http: HttpClientDep) -> None:
        with pytest.raises(UpstreamError):
            await http.request(
                "PUT", "http://ada:hunter2@127.0.0.1:9/hunter2?email=ada@example.com"
            )

    async with client_while_running(app) as client:
        assert (await client.get("/call")).status_code == 200

    assert spans.named("PUT")
    for secret in SECRETS:
        assert secret not in spans.as_text()


@pytest.mark.needs("redis")
async def test_redis_command_puts_no_secret_into_a_span(
    settings: Settings, spans: KeptSpans
) -> None:
    with open_tracer_provider(settings) as provider:
        async with open_redis(settings) as redis:
            trace_redis(redis, provider)
            with provider.get_tracer("test").start_as_current_span("ada@example.com asks"):
                await redis.connections.set("token:hunter2", "ada@example.com", ex=60)
                for command in (("AUTH", "ada", "hunter2"), ("FT.SEARCH", "hunter2", "*")):
                    with pytest.raises(RedisError):
                        await redis.connections.execute_command(*command)  # type: ignore[no-untyped-call]
                async with redis.connections.pipeline() as pipeline:
                    pipeline.get("token:hunter2")
                    pipeline.delete("token:hunter2")
                    await pipeline.execute()

    names = [span.name for span in spans.get_finished_spans()]
    assert names == ["SET", "AUTH", "redis.search", "GET", "[hidden] asks"]
    for secret in SECRETS:
        assert secret not in spans.as_text()


def test_link_keeps_only_its_ids(settings: Settings, spans: KeptSpans) -> None:
    other = SpanContext(42, 43, is_remote=True, trace_flags=TraceFlags(1))
    with open_tracer_provider(settings) as provider:
        tracer = provider.get_tracer("test")
        tracer.start_span("linked", links=[Link(other, {"note": "hunter2"})]).end()

    (span,) = spans.get_finished_spans()
    (link,) = span.links
    assert (link.context, link.attributes) == (other, {})


async def test_probes_are_not_traced(settings: Settings, spans: KeptSpans) -> None:
    paths = ["/health", "/health/live", "/health/ready"]
    if has("metrics"):
        paths.append("/metrics")
    async with client_while_running(create_app(traced(settings))) as client:
        for path in paths:
            await client.get(path)
            await client.get(path, headers=SAMPLED_BY_CALLER)

    assert spans.get_finished_spans() == ()


async def test_log_lines_name_trace_and_span(
    settings: Settings, spans: KeptSpans, capsys: pytest.CaptureFixture[str]
) -> None:
    log = structlog.stdlib.get_logger("test")
    app = create_app(traced(settings).model_copy(update={"log_format": "json"}))

    @app.get("/log")
    def log_in_a_thread() -> None:
        log.warning("logged")

    async with client_while_running(app) as client:
        await client.get("/log", headers=SAMPLED_BY_CALLER)
        await client.get("/log", headers=DROPPED_BY_CALLER)

    (span,) = [span for span in spans.get_finished_spans() if span.kind is SpanKind.SERVER]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    during = [line for line in lines if line["event"] in {"logged", "request_finished"}]
    assert [line["trace_id"] for line in during] == [TRACE_ID] * 4
    assert during[0]["span_id"] == ids_of(span)[1]
    (started,) = [line for line in lines if line["event"] == "service_started"]
    assert "trace_id" not in started


@pytest.mark.parametrize(
    ("headers", "is_kept"),
    [({}, False), (SAMPLED_BY_CALLER, True), (DROPPED_BY_CALLER, False)],
)
async def test_callers_decision_overrides_the_sampler(
    settings: Settings,
    spans: KeptSpans,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    *,
    is_kept: bool,
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")

    async with client_while_running(create_app(traced(settings))) as client:
        await client.get("/nowhere", headers=headers)

    assert bool(spans.get_finished_spans()) is is_kept


async def test_resource_describes_the_service(
    settings: Settings, spans: KeptSpans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=shop")
    app = create_app(traced(settings))
    monkeypatch.setenv("OTEL_SERVICE_NAME", "another")
    for each in (app, create_app(traced(settings))):
        async with client_while_running(each) as client:
            await client.get("/nowhere")

    resources = [
        dict(span.resource.attributes)
        for span in spans.get_finished_spans()
        if span.kind is SpanKind.SERVER
    ]
    assert [each["service.name"] for each in resources] == [DISTRIBUTION, "another"]
    for resource in resources:
        assert resource["service.version"] == VERSION
        assert resource["deployment.environment.name"] == "test"
        assert resource["service.namespace"] == "shop"


async def test_applications_do_not_share_tracing(settings: Settings, spans: KeptSpans) -> None:
    provider = trace.get_tracer_provider()
    threads = set(threading.enumerate())
    first, second, untraced = (
        create_app(each) for each in (traced(settings), traced(settings), settings)
    )

    def exporting() -> set[threading.Thread]:
        new = set(threading.enumerate()) - threads
        return {thread for thread in new if thread.name.startswith("Otel")}

    # An application that was not started has no thread, so its process can be forked.
    assert not exporting()
    async with client_while_running(first) as client:
        async with client_while_running(second) as other:
            await other.get("/second")
            await client.get("/first")
        async with client_while_running(untraced) as other:
            await other.get("/untraced", headers=SAMPLED_BY_CALLER)
        assert len(exporting()) == 1
        await client.get("/first")

    assert len([span for span in spans.get_finished_spans() if not span.parent]) == 3
    assert not exporting()
    assert trace.get_tracer_provider() is provider


@pytest.mark.parametrize("hangs", [False, True], ids=["refusing", "hanging"])
async def test_unavailable_collector_loses_spans_and_delays_nothing(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    hangs: bool,
) -> None:
    # So that many exports fail during the test.
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "50")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "50")
    output = ""

    def is_logged() -> bool:
        nonlocal output
        output += capsys.readouterr().out
        return "spans_lost" in output

    with open_collector(hangs=True) as collector:
        url = collector.url if hangs else UNUSED
        async with client_while_running(create_app(traced(settings, url))) as client:
            await client.get("/nowhere")
            await wait_until(is_logged)
            # The span of each request is refused, or the queue is full.
            started = monotonic()
            for _ in range(200):
                assert (await client.get("/nowhere")).status_code == 404
            stopping = monotonic()
        stopped = monotonic()

    output += capsys.readouterr().out
    assert stopping - started < 10
    assert stopped - stopping < SECONDS_TO_END + 1
    assert output.count("spans_lost") == 1
    assert "opentelemetry" not in output
    assert url.removeprefix("http://") not in output


async def test_slow_collector_delays_shutdown_by_a_limited_time(settings: Settings) -> None:
    with open_collector(hangs=True) as collector:
        async with client_while_running(create_app(traced(settings, collector.url))) as client:
            await client.get("/nowhere")
            stopping = monotonic()
        stopped = monotonic()

    assert stopped - stopping < SECONDS_TO_END + 1
