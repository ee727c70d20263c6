"""Everything that a served process writes is a log event in one schema."""

import json
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from order_service.settings import Settings

from ..service import has
from ..serving import SECONDS_TO_STOP, environment_of, is_running, process_ids, run, serving

SCHEMA = {"timestamp", "level", "event", "logger", "service"}

Events = list[dict[str, Any]]

PATHS = {
    "ordinary": "/planted/wait/0?token=hunter2",
    "unknown": "/nowhere?token=hunter2",
    "slow": "/planted/wait/1.6",
    "failed": "/planted/error",
    "probe": "/health/ready",
    "live": "/health/live",
}
"""Requests by their ids."""


def events_of(output: str) -> Events:
    """Parse a log; every line has to be an event in the schema, without a secret."""
    events = [json.loads(line) for line in output.splitlines()]
    for event in events:
        assert event.keys() >= SCHEMA, event
        assert not str(event["event"]).startswith("Traceback")
        for trace in event.get("exception", []):
            assert trace["frames"] is not None
            assert not any("locals" in frame for frame in trace["frames"])
    assert "hunter2" not in output
    return events


def send_garbage(url: str) -> None:
    """Send what is not HTTP, and wait until the server closes the connection."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"garbage\r\n\r\n")
        while connection.recv(4096):
            pass


@pytest.fixture(scope="module")
def processes() -> int:
    """Serve with several processes where the service can."""
    return 2 if has("processes") else 1


@dataclass
class Ended:
    """A service that was stopped."""

    events: Events
    status: int
    last_response: httpx2.Response
    """To the request that was in flight when the service was told to stop."""
    processes: set[int]


@pytest.fixture(scope="module")
def ended(module_settings: Settings, processes: int) -> Ended:
    """Serve some requests and failures, and stop."""
    environment = environment_of(
        module_settings, PROCESSES=str(processes), SLOW_REQUEST_SECONDS="1.5"
    )
    with serving("serve", environment) as served:
        for name, path in PATHS.items():
            response = served.get(path, X_Request_ID=name)
            assert "server" not in response.headers
        for source in ("library", "warning", "thread", "task"):
            served.get(f"/planted/{source}?token=hunter2")
        send_garbage(served.url)
        found = process_ids(served.url, processes)
        response = served.get("/planted/stop")
        status = served.process.wait(SECONDS_TO_STOP)
        return Ended(events_of(served.output), status, response, found)


@pytest.fixture(scope="module")
def events(ended: Ended) -> Events:
    """Return everything that the service logged."""
    return ended.events


def test_stop_finishes_requests_and_ends_all_processes(ended: Ended) -> None:
    assert ended.last_response.status_code == 200
    assert ended.status in {0, -signal.SIGTERM}
    assert not any(map(is_running, ended.processes))


def test_all_sources_log_in_one_schema(events: Events, processes: int) -> None:
    loggers = {event["logger"]: event for event in events}
    assert "it is slow" in loggers["library"]["event"]
    assert "UserWarning: planted" in loggers["py.warnings"]["event"]
    assert "exception" in loggers["asyncio"]
    names = [event["event"] for event in events]
    assert "Invalid HTTP request received." in names
    by_name = {event["event"]: event for event in events}
    for name in ("request_failed", "thread_crashed"):
        assert by_name[name]["exception"][0]["exc_type"] == "RuntimeError"
    assert names.count("service_started") == names.count("service_stopped") == processes


def test_number_of_lines_of_a_request(events: Events) -> None:
    lines = {name: [event for event in events if event.get("request_id") == name] for name in PATHS}

    assert {name: len(found) for name, found in lines.items()} == {
        "ordinary": 1,
        "unknown": 1,
        "slow": 2,
        "failed": 2,
        "probe": 0,
        "live": 0,
    }
    finished, slow = lines["slow"]
    assert (finished["event"], slow["event"]) == ("request_finished", "request_slow")
    assert slow["level"] == "warning"
    assert slow["route"] == "/planted/wait/{seconds}"
    assert (slow["method"], slow["status"]) == ("GET", 200)
    assert slow["duration_ms"] >= 1600
    (unknown,) = lines["unknown"]
    assert (unknown["path"], unknown["route"]) == ("/nowhere", "unmatched")


@pytest.mark.parametrize(
    ("planted", "processes", "event", "status"),
    [
        pytest.param(
            "broken application",
            "2",
            "service_not_started",
            3,
            marks=pytest.mark.needs("processes"),
        ),
        ("broken lifespan", "1", "application_failed", 3),
        ("broken server", "1", "crashed", 1),
    ],
)
def test_failed_start_is_logged_in_the_same_schema(
    module_settings: Settings,
    tmp_path: Path,
    planted: str,
    processes: str,
    event: str,
    status: int,
) -> None:
    broken = environment_of(module_settings, PLANTED=planted, PROCESSES=processes)

    completed = run("serve", environment=broken, directory=tmp_path)

    assert completed.returncode == status
    assert completed.stderr == ""
    crashes = [each for each in events_of(completed.stdout) if each["event"] == event]
    assert crashes
    for crash in crashes:
        assert crash["level"] in {"critical", "error"}
        assert crash["exception"][0]["exc_type"] == "RuntimeError"
        assert crash["exception"][0]["frames"][-1]["name"] == "fail"
