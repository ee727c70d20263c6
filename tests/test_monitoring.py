"""A real Prometheus asks a running service what the dashboard and the alerts ask.

It comes from PATH, or else from Debian's package, which is unpacked into a folder of the
test's own: that takes no root, and nothing is installed.
"""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.answers import Answers, choices
from tests.commands import run
from tests.conftest import Render
from tests.receivers import free_port
from tests.running import ITEMS, ask, sign_in

pytestmark = pytest.mark.slow

LEAVE_OUT = "GROUNDPLAN_WITHOUT_PROMETHEUS"
MISSING = f"""
This test needs Prometheus with its promtool, and neither PATH nor `apt-get download` has them.
Put them on PATH (https://prometheus.io/download), or say with a reason that the dashboard and
the alerts are not to be tried: {LEAVE_OUT}="there is no network here" uv run pytest
"""

ANSWERS: Answers = {"cache": "redis", "jobs": "taskiq", "parts": choices("parts")}
"""With these, the dashboard has every panel, and the alerts have every rule."""

SERVICE = "order-service"
SECONDS_TO_WAIT = 60
WINDOW = "15s"
"""What Grafana would put in for its own interval."""

SLOW_MACHINE = {"RequestsSlow", "JobsSlow"}
"""What may be true of the machine that the tests run on; no fault is planted for these."""

GONE = {"AllInstancesGone"}
"""What asks for what is not there finds nothing while all is well."""

COMPARISON = r"\s(?:[<>]=?|[!=]=)\s+[\d.]+(?:\s+and\s+)?"

BROKEN = """
    @app.get("/broken")
    async def fail() -> None:
        raise RuntimeError
"""
"""A fault, planted where a service's owner extends it."""

RUNNING = """
import os, subprocess, sys
from order_service_dev.environment import development_service

os.environ["ENVIRONMENT"] = "development"
with development_service() as settings:
    processes = []
    for argument in sys.argv[1:]:
        verb, port = argument.split("=")
        command = [os.path.join(os.path.dirname(sys.executable), "order-service"), verb]
        environment = {**os.environ, "METRICS_PORT": port, "LOG_LEVEL": "ERROR"}
        # Nobody reads the standard output to its end, and full pipes make writers wait.
        process = subprocess.Popen(command, env=environment, stdout=sys.stderr)
        processes.append(process)
        print(process.pid, flush=True)
    sys.stdin.read()
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()
"""
"""Runs commands of a service, with a database and a Redis of their own, until told to end."""


class Prometheus(NamedTuple):
    """A running Prometheus."""

    url: str
    process: subprocess.Popen[bytes]
    configuration: Path

    def forget_targets(self) -> None:
        """Find no target any more, as where all that a name stood for are gone."""
        configuration = yaml.safe_load(self.configuration.read_text("utf-8"))
        configuration["scrape_configs"][0]["static_configs"] = []
        self.configuration.write_text(yaml.safe_dump(configuration), "utf-8")
        self.process.send_signal(signal.SIGHUP)

    def get(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 - It is JSON.
        """Ask its interface."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as answer:  # noqa: S310
            return json.load(answer)["data"]

    def values(self, query: str) -> list[float]:
        """Give what a query finds that is a number."""
        found = self.get("query", query=query)["result"]
        values = [float(series["value"][1]) for series in found]
        return [value for value in values if value == value]  # noqa: PLR0124 - NaN is not itself.

    def firing(self) -> set[str]:
        """Name the alerts that fire."""
        alerts = self.get("alerts")["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder with Prometheus and promtool."""
    return find_programs(tmp_path_factory)


def find_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Find Prometheus and promtool; without them, this fails unless it is told not to."""
    if reason := os.environ.get(LEAVE_OUT):
        pytest.skip(f"{LEAVE_OUT} is set: {reason}")
    if (found := shutil.which("prometheus")) and shutil.which("promtool"):
        return Path(found).parent
    folder = tmp_path_factory.mktemp("prometheus")
    package = download(folder)
    if package is None:
        pytest.fail(MISSING)
    run("dpkg", "-x", package, folder, cwd=folder)
    return folder / "usr/bin"


def download(folder: Path) -> Path | None:
    """Get the package with the lists of packages that the machine has, or else with new ones."""
    own = folder / "lists"
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    options = [f"Dir::State::lists={own}", f"Dir::Cache={folder / 'cache'}"]
    own_lists = [text for option in options for text in ("-o", option)]
    for commands in (
        [["apt-get", "download", "prometheus"]],
        [
            ["apt-get", "update", *own_lists],
            ["apt-get", "download", "prometheus", *own_lists],
        ],
    ):
        # Whatever goes wrong, the answer is the same: there is no package.
        with suppress(OSError, subprocess.SubprocessError):
            for command in commands:
                subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
            return next(folder.glob("prometheus_*.deb"))
    return None


@contextmanager
def running(service: Path, **ports: int) -> Iterator[tuple[str, dict[str, int]]]:
    """Run commands of a service, each with its numbers on a port of its own."""
    port = free_port()
    command = [str(service / ".venv/bin/python"), "-c", RUNNING]
    with (
        (service / "log").open("wb") as log,
        subprocess.Popen(
            [*command, *(f"{verb}={number}" for verb, number in ports.items())],
            cwd=service,
            env={**os.environ, "PORT": str(port), **unlimited()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            pids: dict[str, int] = {}
            # What comes before the numbers says which database and which Redis it is.
            for line in process.stdout:
                if line.strip().isdecimal():
                    pids[list(ports)[len(pids)]] = int(line)
                if len(pids) == len(ports):
                    break
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: ask(f"{url}/health/ready").status == 200)
            yield url, pids
        finally:
            process.communicate()


def unlimited() -> dict[str, str]:
    """Let one client ask as often as it likes."""
    limits = ("DEFAULT", "LOGIN", "REGISTRATION", "REFRESH")
    return {f"RATE_LIMIT_{limit}": "1000000/minute" for limit in limits}


@contextmanager
def watching(programs: Path, service: Path, *targets: int) -> Iterator[Prometheus]:
    """Run Prometheus with the service's rules, only that it waits for seconds, not minutes."""
    folder = service / "prometheus"
    folder.mkdir()
    rules = (service / "monitoring/alerts.yml").read_text("utf-8")
    (folder / "alerts.yml").write_text(re.sub(r"for: \d+m", "for: 3s", rules), "utf-8")
    configuration = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["alerts.yml"],
        "scrape_configs": [
            {
                "job_name": SERVICE,
                "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in targets]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), "utf-8")
    run(programs / "promtool", "check", "rules", service / "monitoring/alerts.yml", cwd=folder)
    run(programs / "promtool", "check", "config", "prometheus.yml", cwd=folder)
    port = free_port()
    command = [str(programs / "prometheus"), f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--config.file=prometheus.yml", "--storage.tsdb.path=data"],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        yield Prometheus(f"http://127.0.0.1:{port}", process, folder / "prometheus.yml")
    finally:
        process.kill()
        process.wait()


def wait_until(is_so: Callable[[], bool]) -> None:
    """Look until it is so; while nobody answers, it is not."""
    give_up = time.monotonic() + SECONDS_TO_WAIT
    while True:
        with suppress(OSError):
            if is_so():
                return
        assert time.monotonic() < give_up
        time.sleep(0.2)


@contextmanager
def load(url: str, paths: list[str], token: str) -> Iterator[None]:
    """Ask for paths, again and again, and register people, who are sent a message each."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(0.01):
            with suppress(OSError, ValueError):
                for path in paths * 10:
                    ask(f"{url}{path}", token=token)
                person = {
                    "email": f"{secrets.token_hex(8)}@example.com",
                    "password": "a long and quiet river",
                    "full_name": "Ada",
                }
                ask(f"{url}/api/v1/users", "POST", person)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def queries(service: Path) -> Iterator[tuple[str, str]]:
    """Give every query, by the title that its answer has; of an alert, both sides' numbers."""
    dashboard = json.loads((service / "monitoring/grafana-dashboard.json").read_text("utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", WINDOW)
    rules = yaml.safe_load((service / "monitoring/alerts.yml").read_text("utf-8"))
    for rule in rules["groups"][0]["rules"]:
        parts = re.split(COMPARISON, f"{rule['expr']} ")
        assert len(parts) > 1, f"{rule['alert']} compares nothing"
        for part in filter(str.strip, parts):
            yield rule["alert"], part


def test_prometheus_finds_what_is_asked_for(
    project: Render, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = project(ANSWERS)
    with (service / "src/order_service/extras.py").open("a", encoding="utf-8") as extras:
        extras.write(BROKEN)
    run("uv", "sync", "--quiet", cwd=service)
    ports = {verb: free_port() for verb in ("serve", "worker", "scheduler")}
    with (
        running(service, **ports) as (url, pids),
        watching(programs, service, *ports.values()) as prometheus,
    ):
        token = sign_in(url, "ada@example.com")
        item = ask(f"{url}{ITEMS}", "POST", {"name": "Lamp"}, token).body["id"]
        healthy = [ITEMS, f"{ITEMS}/{item}", "/nowhere", "/health"]
        up = f'sum(up{{job="{SERVICE}"}})'
        done = f'jobs_total{{job="{SERVICE}",outcome="done"}} > 0'

        with load(url, healthy, token):
            wait_until(lambda: prometheus.values(up) == [len(ports)])
            wait_until(lambda: bool(prometheus.values(done)))
            time.sleep(5)  # The rules are looked at every second, and find nothing to tell.
            assert prometheus.firing() <= SLOW_MACHINE
        with load(url, [*healthy, "/broken"], token):
            burning = {"ErrorBudgetBurnsFast", "ErrorBudgetBurnsSlowly"}
            wait_until(lambda: burning <= prometheus.firing())
            asked = list(queries(service))
            empty = {title for title, query in asked if not prometheus.values(query)}
        groups = prometheus.get("rules")["groups"]
        os.kill(pids["scheduler"], signal.SIGKILL)
        wait_until(lambda: "InstanceDown" in prometheus.firing())
        fired = prometheus.firing()
        prometheus.forget_targets()
        wait_until(lambda: prometheus.firing() >= GONE)

    assert empty == GONE
    assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}
    assert fired - SLOW_MACHINE == {*burning, "InstanceDown"}
    with capsys.disabled():
        print(f"\nPrometheus answered {len(asked)} queries; fired: {', '.join(sorted(fired))}")


@pytest.mark.parametrize(
    "answers",
    [
        {"parts": ["rate_limits", "dashboards"]},
        {"database": "none", "auth": "none", "parts": ["dashboards"]},
        {"database": "sqlite", "parts": choices("parts")},
        ANSWERS,
    ],
    ids=["few", "none", "sqlite", "jobs"],
)
def test_promtool_accepts_the_rules(render: Render, programs: Path, answers: Answers) -> None:
    rules = render(answers) / "monitoring/alerts.yml"

    run(programs / "promtool", "check", "rules", rules, cwd=rules.parent)


def test_leaving_it_out_takes_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv(LEAVE_OUT, "")

    with pytest.raises(pytest.fail.Exception, match="needs Prometheus with its promtool"):
        find_programs(tmp_path_factory)
    monkeypatch.setenv(LEAVE_OUT, "this test tries it")
    with pytest.raises(pytest.skip.Exception, match="this test tries it"):
        find_programs(tmp_path_factory)
