"""Server and worker processes export to a collector over HTTP, at the latest when they stop."""

import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial

import httpx2
import pytest

from order_service.core.about import VERSION
from order_service.settings import Settings

from ..feature import TRIALS
from ..service import COMMAND, has
from ..serving import SECONDS_TO_STOP, environment_of, serving
from ..spans import Collector, open_collector
from ..waiting import wait_in_thread_until

REQUESTS = 20

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER_ID = "b7ad6b7169203331"

HAS_JOB = has("jobs") and has("auth")
"""A registration leads to a job, which calls the URL for notifications."""

PATH = "/api/v1/users" if has("auth") else TRIALS
CONTENT = (
    {"email": "ada@example.com", "password": "hunter2, hunter2", "full_name": "Ada"}
    if has("auth")
    else {"name": "hunter2"}
)


@contextmanager
def running_worker(environment: Mapping[str, str]) -> Iterator[None]:
    """Run a worker, and stop it at the end."""
    process = subprocess.Popen([COMMAND, "worker"], env=environment)
    try:
        yield
        process.terminate()
        assert process.wait(SECONDS_TO_STOP) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def collector(module_settings: Settings) -> Iterator[Collector]:
    """Send requests to a server and a worker, stop both, and return what they exported."""
    with open_collector() as collector:
        server = environment_of(
            module_settings,
            PROCESSES="2",
            NOTIFICATIONS_URL=f"{collector.url}/hooks/hunter2",
            OTEL_BSP_SCHEDULE_DELAY="600000",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_EXPORTER_OTLP_HEADERS="x-key=hunter2",
            OTEL_SERVICE_NAME="server",
        )
        worker = {**server, "JOBS_POLL_SECONDS": "0.05", "OTEL_SERVICE_NAME": "worker"}
        with (
            running_worker(worker) if HAS_JOB else nullcontext(),
            serving("serve", server) as served,
        ):
            response = httpx2.post(
                f"{served.url}{PATH}?token=hunter2",
                json=CONTENT,
                headers={"traceparent": f"00-{TRACE_ID}-{CALLER_ID}-01"},
                timeout=30,
            )
            assert response.status_code == 201
            # A connection each, so that both processes get some.
            with ThreadPoolExecutor(4) as pool:
                urls = [f"{served.url}/nowhere/{number}" for number in range(REQUESTS)]
                for each in pool.map(partial(httpx2.get, timeout=30), urls):
                    assert each.status_code == 404
            if HAS_JOB:
                wait_in_thread_until(lambda: hooks(collector))
            assert collector.spans == []
            served.stop()
        yield collector


def hooks(collector: Collector) -> list[dict[str, str]]:
    """Return the headers of the calls of jobs."""
    return [headers for path, headers in collector.requests if path == "/hooks/hunter2"]


def test_shutdown_exports_the_spans_of_all_processes(collector: Collector) -> None:
    served = [span for span in collector.spans if span.scope == "fastapi"]
    requests = [span for span in served if span.trace_id != TRACE_ID]

    assert len(requests) == REQUESTS
    assert len({span.trace_id for span in requests}) == REQUESTS


def test_request_continues_the_trace_of_its_caller(collector: Collector) -> None:
    request = collector.find("server", f"POST {PATH}")

    assert (request.trace_id, request.parent_id) == (TRACE_ID, CALLER_ID)
    if has("database"):
        assert collector.find("server", "INSERT").parent_id == request.span_id


@pytest.mark.needs("jobs", "auth")
def test_job_continues_the_trace_of_its_request(collector: Collector) -> None:
    request = collector.find("server", f"POST {PATH}")
    job = collector.find("worker", "process users.registered")
    call = collector.find("worker", "POST")

    assert (job.trace_id, job.parent_id) == (TRACE_ID, request.span_id)
    assert job.attributes["messaging.destination.name"] == "users.registered"
    assert job.attributes["app.job.attempt"] == 1
    assert job.attributes["app.job.outcome"] == "done"
    assert collector.find("worker", "SELECT").parent_id == job.span_id
    assert call.parent_id == job.span_id
    (headers,) = hooks(collector)
    assert headers["traceparent"].split("-")[1:3] == [call.trace_id, call.span_id]
    # Polling for due messages starts no trace.
    assert {span.trace_id for span in collector.spans if span.service == "worker"} == {TRACE_ID}


def test_exported_spans_describe_the_service_and_hold_no_secret(collector: Collector) -> None:
    for span in collector.spans:
        assert span.resource["service.version"] == VERSION
        assert span.resource["deployment.environment.name"] == "production"
        for secret in ("hunter2", "ada@example.com"):
            assert secret not in str(span)


def test_key_of_the_collector_is_sent_to_it_only(collector: Collector) -> None:
    for path, headers in collector.requests:
        assert headers.get("x-key") == ("hunter2" if path == "/v1/traces" else None)
