"""Requests are counted by route template, whatever their outcome."""

from collections.abc import AsyncIterator

import anyio
import httpx2
import pytest
from fastapi import FastAPI
from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import StreamingResponse

from order_service.main import create_app
from order_service.settings import Settings

from ..clients import client_of, running
from ..feature import TRIAL, TRIALS
from ..serving import free_port

NO_TRIAL = f"{TRIALS}/00000000-0000-0000-0000-000000000000"

Labels = tuple[str, str, str]


async def text_of(client: httpx2.AsyncClient) -> str:
    """Read the metrics as text."""
    response = await client.get("/metrics")
    assert response.status_code == 200
    return response.text


async def samples(client: httpx2.AsyncClient, name: str) -> dict[Labels, float]:
    """Read one metric of requests, by method, endpoint and status."""
    return {
        (
            sample.labels["method"],
            sample.labels["endpoint"],
            sample.labels["status"],
        ): sample.value
        for family in text_string_to_metric_families(await text_of(client))
        for sample in family.samples
        if sample.name == name
    }


async def counts(client: httpx2.AsyncClient) -> dict[Labels, float]:
    """Read the counter of requests; each request has to be timed, too."""
    counted = await samples(client, "http_requests_total")
    assert await samples(client, "http_request_duration_seconds_count") == counted
    return counted


async def in_flight(client: httpx2.AsyncClient) -> float:
    """Read how many requests are in flight."""
    return next(
        sample.value
        for family in text_string_to_metric_families(await text_of(client))
        for sample in family.samples
        if sample.name == "http_requests_in_flight"
    )


async def test_requests_are_counted_by_template(client: httpx2.AsyncClient) -> None:
    for number in range(3):
        await client.get(NO_TRIAL[:-1] + str(number))
        await client.get(f"/nowhere/{number}?token=hunter2")
        await client.request(f"MADE-UP-{number}", TRIALS)
    await client.get("/health/ready")

    counted = await counts(client)

    assert counted["GET", TRIAL, "404"] == 3
    assert counted["GET", "unmatched", "404"] == 3
    assert counted["other", TRIALS, "405"] == 3
    assert counted["GET", "/health/ready", "200"] == 1
    text = await text_of(client)
    assert "hunter2" not in text
    assert "nowhere" not in text
    assert "MADE-UP" not in text


async def test_scrape_is_not_counted(
    client: httpx2.AsyncClient,
) -> None:
    before = await counts(client)

    assert await counts(client) == before
    assert await in_flight(client) == 0


async def test_scrape_by_address_is_not_limited_or_logged(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture, app: FastAPI
) -> None:
    response = await client.get("/metrics", headers={"Host": "10.0.0.7:8000"})

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert "RateLimit" not in response.headers
    assert "/metrics" not in caplog.text
    assert "/metrics" not in str(app.openapi()["paths"])


async def test_openmetrics_format_is_negotiated(
    client: httpx2.AsyncClient,
) -> None:
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0"}

    response = await client.get("/metrics", headers=wanted)

    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


async def test_failure_is_counted(app: FastAPI) -> None:
    @app.get("/broken")
    async def fail() -> None:
        raise RuntimeError

    async with running(app) as service, client_of(service) as client:
        assert (await client.get("/broken")).status_code == 500

        assert (await counts(client))["GET", "/broken", "500"] == 1


async def test_disconnected_client_is_counted_as_499(app: FastAPI) -> None:
    arrived = anyio.Event()

    @app.get("/waiting")
    async def wait() -> None:
        arrived.set()
        await anyio.sleep_forever()

    async with running(app) as service, client_of(service) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.get, "/waiting")
            await arrived.wait()
            meanwhile = await in_flight(client)
            group.cancel_scope.cancel()

        assert meanwhile == 1
        assert await in_flight(client) == 0
        assert (await counts(client))["GET", "/waiting", "499"] == 1


async def test_response_that_fails_midway_keeps_its_status(app: FastAPI) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"half of it"
        raise RuntimeError

    @app.get("/half")
    async def read_half() -> StreamingResponse:
        return StreamingResponse(half())

    async with running(app) as service, client_of(service) as client:
        with pytest.raises(RuntimeError):
            await client.get("/half")

        assert (await counts(client))["GET", "/half", "200"] == 1


async def test_metrics_may_have_their_own_port(settings: Settings) -> None:
    port = free_port()
    app = create_app(settings.model_copy(update={"metrics_port": port}))

    async with running(app) as service, client_of(service) as client:
        assert (await client.get("/metrics")).status_code == 404
        async with httpx2.AsyncClient() as reader:
            response = await reader.get(f"http://127.0.0.1:{port}/metrics")
        assert 'endpoint="unmatched"' in response.text


async def test_owners_metrics_are_exposed(app: FastAPI) -> None:
    registry = app.state.metrics.registry
    Counter("orders_total", "Orders.", registry=registry).inc(3)

    async with running(app) as service, client_of(service) as client:
        assert "orders_total 3.0" in await text_of(client)


async def test_each_application_has_its_own_registry(settings: Settings) -> None:
    async with (
        running(create_app(settings)) as one,
        running(create_app(settings)) as other,
        client_of(one) as client,
        client_of(other) as second,
    ):
        await client.get("/nowhere")

        assert ("GET", "unmatched", "404") in await counts(client)
        assert ("GET", "unmatched", "404") not in await counts(second)
