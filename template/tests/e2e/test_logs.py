"""Whatever the served process says, it says in one schema."""

import json
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from .extending import extended
from .serving import run, serving

SCHEMA = {"timestamp", "level", "event", "logger", "service"}
SECONDS_TO_STOP = 60


def events_of(output: str) -> list[dict[str, Any]]:
    """Read a log; every line has to be an event in the schema, without a secret."""
    events = [json.loads(line) for line in output.splitlines()]
    for event in events:
        assert event.keys() >= SCHEMA, event
        assert not str(event["event"]).startswith("Traceback")
        for trace in event.get("exception", []):
            assert trace["frames"] is not None
            assert not any("locals" in frame for frame in trace["frames"])
    assert "hunter2" not in output
    return events


def stopped(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Stop the service and give everything that it has logged."""
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=SECONDS_TO_STOP)
    assert process.returncode == 0
    return events_of(output)


def send_garbage(url: str) -> None:
    """Send what is not HTTP at all, and wait until the server hangs up."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"garbage\r\n\r\n")
        while connection.recv(4096):
            pass


def test_all_sources_log_in_one_schema(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    several = {**extended(environment, tmp_path), "PROCESSES": "2"}

    with serving("serve", several) as (process, url):
        for name in ("library", "warning", "error", "thread", "task"):
            httpx2.get(f"{url}/planted/{name}?token=hunter2")
        send_garbage(url)
        events = stopped(process)

    loggers = {event["logger"]: event for event in events}
    assert "it is slow" in loggers["library"]["event"]
    assert "UserWarning: planted" in loggers["py.warnings"]["event"]
    assert "exception" in loggers["asyncio"]
    said = [event["event"] for event in events]
    assert "Invalid HTTP request received." in said
    by_name = {event["event"]: event for event in events}
    for name in ("request_failed", "thread_crashed"):
        assert by_name[name]["exception"][0]["exc_type"] == "RuntimeError"
    assert said.count("service_started") == said.count("service_stopped") == 2


@pytest.mark.parametrize(
    ("planted", "processes", "ending"),
    [
        ("broken application", "2", ("service_not_started", 3)),
        ("broken lifespan", "1", ("application_failed", 3)),
        ("broken server", "1", ("crashed", 1)),
    ],
)
def test_end_before_the_beginning_is_logged_like_the_rest(
    environment: Mapping[str, str],
    tmp_path: Path,
    planted: str,
    processes: str,
    ending: tuple[str, int],
) -> None:
    event, status = ending
    broken = {**extended(environment, tmp_path, planted), "PROCESSES": processes}

    completed = run("serve", environment=broken)

    assert completed.returncode == status
    assert completed.stderr == ""
    crashes = [each for each in events_of(completed.stdout) if each["event"] == event]
    assert crashes
    for crash in crashes:
        assert crash["level"] in {"critical", "error"}
        assert crash["exception"][0]["exc_type"] == "RuntimeError"
        assert crash["exception"][0]["frames"][-1]["name"] == "fail"


@pytest.fixture
def lines(
    environment: Mapping[str, str], tmp_path: Path
) -> dict[str, list[dict[str, Any]]]:
    """Give the lines of some requests, each named by its id, from a real service."""
    slow = {**extended(environment, tmp_path), "SLOW_REQUEST_SECONDS": "2"}
    paths = {
        "ordinary": "/planted/pid?token=hunter2",
        "unknown": "/nowhere",
        "slow": "/planted/wait/2.1",
        "failed": "/planted/error",
        "probe": "/health/ready",
        "live": "/health/live",
    }
    with serving("serve", slow) as (process, url):
        for name, path in paths.items():
            httpx2.get(f"{url}{path}", headers={"X-Request-ID": name})
        events = stopped(process)
    return {
        name: [event for event in events if event.get("request_id") == name]
        for name in paths
    }


def test_lines_of_a_request_are_as_many_as_the_readme_says(
    lines: dict[str, list[dict[str, Any]]],
) -> None:
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
    assert slow["duration_ms"] >= 2100
    assert lines["unknown"][0]["route"] == "unmatched"
