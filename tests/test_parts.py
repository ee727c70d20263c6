"""Each part keeps its promise in a running service, and is not there without its answer."""

import json
import re
import shutil
import sqlite3
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.answers import FACTORS, Answers, choices
from tests.commands import run
from tests.conftest import Render
from tests.receivers import Received, Receiver
from tests.running import ITEMS, Response, bearer, send, serving, sign_in

pytestmark = [pytest.mark.slow, pytest.mark.promises, pytest.mark.xdist_group("parts")]

PARTS = choices("parts")

SERVICES: dict[str, Answers] = {
    "with all parts": {"database": "sqlite", "parts": PARTS},
    # Users need rate limits, so a service without those is another one.
    "without parts": {"database": "sqlite", "parts": ["rate_limits"]},
    "without rate limits": {"database": "none", "auth": "none", "parts": []},
}
"""The services that the tests of this file share."""

LIMIT = 40
"""How many requests a client may send in a minute, to each process: in memory, each counts."""

CALLS_ANOTHER_SERVICE = '''

from .core.http_client.client import HttpClientDep


async def call(http: HttpClientDep) -> int:
    """Call another service."""
    response = await http.request("POST", "{url}/orders", json={{}}, idempotency_key="order-1")
    return response.status_code
'''
"""A route's function that the owner of a service writes; {url} is the other service."""


_numbers = count(1)


def new_address() -> str:
    """Return the address of a client that has sent no request before."""
    number = next(_numbers)
    return f"198.18.{number // 250}.{number % 250 + 1}"


class Running(NamedTuple):
    """A service that runs."""

    folder: Path
    url: str
    process: subprocess.Popen[bytes]
    token: str
    upstream: Receiver

    def send(
        self, path: str, method: str = "GET", content: object = None, **headers: str
    ) -> Response:
        """Send a request, signed in where the service has users."""
        own = bearer(self.token) if self.token else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        # Each request is a new client's, which no limit is for.
        client = {"X-Forwarded-For": new_address()}
        return send(f"{self.url}{path}", method, content, own | client | named)

    def create(self, name: str = "Lamp", **headers: str) -> Response:
        """Create an item."""
        response = self.send(ITEMS, "POST", {"name": name}, **headers)
        assert response.status == 201, response
        return response

    def metrics(self) -> dict[str, float]:
        """Read the metrics."""
        lines = send(f"{self.url}/metrics").text.splitlines()
        return {
            name: float(value)
            for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        }

    def tables(self) -> set[str]:
        """Name the tables of its database."""
        return {str(name) for (name,) in self.rows("SELECT name FROM sqlite_master")}

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """Read rows of its database."""
        with closing(sqlite3.connect(self.folder / "served.db")) as connection:
            return connection.execute(statement).fetchall()

    def processes(self) -> int:
        """Count the processes that serve: the one that was started, or its children."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        served = [
            pid
            for pid in children.read_text("utf-8").split()
            if b"multiprocessing.spawn" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        return len(served) or 1


Start = Callable[[str], Running]


@pytest.fixture(scope="module")
def start(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start each of the services once, when a test needs it."""
    started: dict[str, Running] = {}
    with ExitStack() as stack:

        def starting(name: str) -> Running:
            if name not in started:
                folder = tmp_path_factory.mktemp("parts") / "service"
                shutil.copytree(render(SERVICES[name]), folder)
                running = started_service(folder, SERVICES[name])
                started[name] = stack.enter_context(running)
            return started[name]

        yield starting


@contextmanager
def started_service(folder: Path, answers: Answers) -> Iterator[Running]:
    """Install a service, and serve it with two processes if it can."""
    run("uv", "sync", "--quiet", "--no-dev", cwd=folder)
    failures = [503]

    def fail_once(_: Received) -> int:
        return failures.pop() if failures else 201

    with Receiver(fail_once).serving() as upstream:
        if "http_client" in answers["parts"]:
            plant_call(folder, upstream.url)
        with serving(
            folder,
            PROCESSES="2",
            RATE_LIMIT_DEFAULT=f"{LIMIT}/minute",
            FORWARDED_ALLOW_IPS="127.0.0.1",
        ) as (url, process):
            token = "" if answers.get("auth") == "none" else sign_in(url, "ada@example.com")
            yield Running(folder, url, process, token, upstream)


def plant_call(folder: Path, upstream: str) -> None:
    """Give the service a route that calls another service."""
    extras = folder / "src/order_service/extras.py"
    text = extras.read_text("utf-8") + '    app.add_api_route("/call", call)\n'
    head, imports, tail = text.partition("from .settings import Settings\n")
    assert imports
    extras.write_text(head + imports + CALLS_ANOTHER_SERVICE.format(url=upstream) + tail, "utf-8")


def statuses(service: Running) -> set[int]:
    """Send requests as one client until one is refused, or two processes must refuse some."""
    found: set[int] = set()
    client = {"X-Forwarded-For": new_address()}
    for _ in range(2 * LIMIT + 1):
        response = send(f"{service.url}/nowhere", headers=client)
        found.add(response.status)
        if response.status == 429:
            assert int(response.headers["retry-after"]) > 0
            break
    return found


def limits_clients(service: Running) -> None:
    assert statuses(service) == {404, 429}
    # Another client is not refused.
    assert service.send("/nowhere").status == 404


def limits_no_client(service: Running) -> None:
    assert statuses(service) == {404}


def changed_twice(service: Running) -> list[int]:
    """Change an item twice with the ETag that it has at first."""
    created = service.create()
    path, etag = created.headers["location"], created.headers["etag"]
    return [
        service.send(path, "PUT", {"name": name}, If_Match=etag).status for name in ("Desk", "Bed")
    ]


def refuses_a_stale_change(service: Running) -> None:
    assert changed_twice(service) == [200, 412]


def takes_each_change(service: Running) -> None:
    assert changed_twice(service) == [200, 200]


def created_twice(service: Running) -> list[str]:
    """Create an item twice with the same key, and return both ids."""
    return [service.create("Chair", Idempotency_Key="chair-1").body["id"] for _ in range(2)]


def replays_a_creation(service: Running) -> None:
    first, second = created_twice(service)
    assert first == second


def creates_each_time(service: Running) -> None:
    first, second = created_twice(service)
    assert first != second


def caches_a_read(service: Running) -> None:
    hits = 'cache_lookups_total{result="hit"}'
    path = service.create().headers["location"]
    before = service.metrics()[hits]

    # Each process has its own cache, so of three reads at least one is a hit.
    bodies = [service.send(path).text for _ in range(3)]

    assert len(set(bodies)) == 1
    assert service.metrics()[hits] > before
    service.send(path, "PUT", {"name": "Desk"})


def caches_no_read(service: Running) -> None:
    path = service.create().headers["location"]
    service.send(path)
    service.send(path, "PUT", {"name": "Desk"})
    assert service.send(path).body["name"] == "Desk"
    assert not [name for name in service.metrics() if "cache" in name]


def retries_a_call(service: Running) -> None:
    response = service.send("/call")

    assert (response.status, response.body) == (200, 201)
    # The first attempt failed with a 503, of which the caller sees nothing.
    (call,) = service.upstream.received
    assert call.headers["idempotency-key"] == "order-1"
    assert call.headers["x-request-id"] == response.headers["x-request-id"]


def calls_no_service(service: Running) -> None:
    assert not {"httpx2", "stamina"} & dependencies(service.folder)


def dependencies(service: Path) -> set[str]:
    """Name the packages that are installed in production."""
    export = ["uv", "export", "--quiet", "--no-dev", "--no-hashes", "--no-annotate", "--no-header"]
    printed = run(*export, "--no-emit-project", cwd=service)
    return {re.split(r"[^\w.-]", line)[0] for line in printed.splitlines()}


def lets_a_key_in(service: Running) -> None:
    made = service.send("/api/v1/api-keys", "POST", {"name": "Import"})
    assert made.status == 201, made
    key = {"X-API-Key": made.body["key"]}
    assert send(f"{service.url}{ITEMS}", headers=key).status == 200
    # Unless its scopes say otherwise, a key only reads.
    assert send(f"{service.url}{ITEMS}", "POST", {"name": "Lamp"}, key).status == 403
    assert send(f"{service.url}{ITEMS}", headers={"X-API-Key": "another"}).status == 401


def lets_no_key_in(service: Running) -> None:
    assert service.send("/api/v1/api-keys", "POST", {"name": "Import"}).status == 404
    schemes = service.send("/openapi.json").body["components"]["securitySchemes"]
    assert not [scheme for scheme in schemes.values() if scheme["type"] == "apiKey"]
    assert "api_keys" not in service.tables()


def records_a_failed_sign_in(service: Running) -> None:
    form = b"username=ada@example.com&password=wrong"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{service.url}/api/v1/auth/token", form, timeout=30)  # noqa: S310
    events = [event for (event,) in service.rows("SELECT event FROM audit_events")]
    assert {"registered", "signed_in", "sign_in_failed"} <= set(events), events


def records_nothing(service: Running) -> None:
    assert "audit_events" not in service.tables()


def runs_two_processes(service: Running) -> None:
    assert service.processes() == 2


def runs_one_process(service: Running) -> None:
    # The variable that the other service reads is set here, too.
    assert service.processes() == 1


def asked_metrics(service: Path) -> set[str]:
    """Name the metrics that the dashboard and the alerts query."""
    dashboard = json.loads((service / "monitoring/grafana-dashboard.json").read_text("utf-8"))
    rules = yaml.safe_load((service / "monitoring/alerts.yml").read_text("utf-8"))
    queries = [
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])
    ]
    queries += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    names = {name for query in queries for name in re.findall(r"\b(\w+)\{", query)}
    assert len(names) > 5
    # Prometheus itself makes this one.
    return names - {"up"}


def shows_what_is_measured(service: Running) -> None:
    service.create()
    measured = {name.partition("{")[0] for name in service.metrics()}

    assert asked_metrics(service.folder) <= measured


def has_metrics_without_dashboards(service: Running) -> None:
    assert service.metrics()
    assert not (service.folder / "monitoring").exists()
    compose = yaml.safe_load((service.folder / "compose.yaml").read_text("utf-8"))
    assert not {"prometheus", "grafana"} & set(compose["services"])


KEPT: dict[str, Callable[[Running], None]] = {
    "rate_limits=yes": limits_clients,
    "rate_limits=no": limits_no_client,
    "conditional_writes=yes": refuses_a_stale_change,
    "conditional_writes=no": takes_each_change,
    "idempotency_keys=yes": replays_a_creation,
    "idempotency_keys=no": creates_each_time,
    "read_cache=yes": caches_a_read,
    "read_cache=no": caches_no_read,
    "http_client=yes": retries_a_call,
    "http_client=no": calls_no_service,
    "api_keys=yes": lets_a_key_in,
    "api_keys=no": lets_no_key_in,
    "audit_log=yes": records_a_failed_sign_in,
    "audit_log=no": records_nothing,
    "processes=yes": runs_two_processes,
    "processes=no": runs_one_process,
    "dashboards=yes": shows_what_is_measured,
    "dashboards=no": has_metrics_without_dashboards,
}
"""What each part does in a running service, and what a service without it does."""


def test_each_part_has_a_promise() -> None:
    assert set(KEPT) == {f"{part}={value}" for part in PARTS for value in FACTORS[part]}


def service_with(answer: str) -> str:
    """Name the service that has an answer about a part."""
    if answer == "rate_limits=no":
        return "without rate limits"
    return "with all parts" if answer.endswith("=yes") else "without parts"


@pytest.mark.parametrize("answer", KEPT)
def test_a_part_keeps_its_promise(start: Start, answer: str) -> None:
    KEPT[answer](start(service_with(answer)))


@pytest.mark.parametrize("answer", KEPT)
def test_a_service_with_the_other_answer_does_not_keep_it(start: Start, answer: str) -> None:
    part, _, value = answer.partition("=")
    other = start(service_with(f"{part}={'no' if value == 'yes' else 'yes'}"))

    # What is missing is noticed by what it leads to, too.
    with pytest.raises((AssertionError, KeyError, OSError, sqlite3.OperationalError)):
        KEPT[answer](other)
