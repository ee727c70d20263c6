"""compose.yaml: everything starts, is closed in, survives failures and can be restored."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.answers import Answers, choices
from tests.delivery.project import Client, Project
from tests.receivers import wait_for

MakeProject = Callable[[str, Answers], Project]

ITEMS = "/api/v1/items"
PERSON = {"email": "ada@example.com", "password": "a long and quiet river"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
LAMP = '{"name": "Lamp", "price_cents": 4900}'


@pytest.fixture(scope="module")
def plain(make_project: MakeProject, stand_ins: Callable[[Project], set[str]]) -> Project:
    """What the default answers give: a service and its PostgreSQL."""
    return started(make_project("plain", {}), stand_ins)


@pytest.fixture(scope="module")
def whole(make_project: MakeProject, stand_ins: Callable[[Project], set[str]]) -> Project:
    """A service with a proxy, a worker, a scheduler and Redis."""
    answers: Answers = {
        "layout": "layered",
        "cache": "redis",
        "jobs": "taskiq",
        "proxy": "nginx",
        "observability": ["metrics", "tracing"],
        "parts": choices("parts"),
    }
    return started(make_project("whole", answers), stand_ins)


@pytest.fixture(scope="module")
def small(make_project: MakeProject) -> Project:
    """A service with a file for a database."""
    return make_project("small", {"database": "sqlite", "auth": "none", "observability": []})


def started(project: Project, stand_ins: Callable[[Project], set[str]]) -> Project:
    """Start a project by what its README says."""
    lacking = stand_ins(project)
    profiled = {
        name for name, one in project.compose_file()["services"].items() if "profiles" in one
    }
    assert lacking <= profiled, f"These need images that are not within reach: {lacking}"
    project.run("sh", "deploy/make-secrets.sh")
    project.up("--build")
    return project


@pytest.fixture(params=["plain", "whole"])
def project(request: pytest.FixtureRequest) -> Project:
    """Each of the running projects."""
    running: Project = request.getfixturevalue(request.param)
    return running


@pytest.fixture
def client(plain: Project) -> Iterator[Client]:
    """A client of the plain service."""
    with plain.client() as client:
        yield client


@pytest.fixture
def browser(whole: Project) -> Iterator[Client]:
    """A client of the proxy."""
    with whole.client("entrance", "proxy", "https", 8443) as client:
        yield client


def token(client: Client) -> str:
    """Register once, and sign in."""
    registered = client.ask("POST", "/api/v1/users", json.dumps({**PERSON, "full_name": "Ada"}))
    assert registered.status in {201, 409}, registered.text
    form = "username=ada@example.com&password=a+long+and+quiet+river"
    signed_in = client.ask("POST", "/api/v1/auth/token", form, headers=FORM)
    assert signed_in.status == 200, signed_in.text
    text: str = signed_in.json()["access_token"]
    return text


def signed_in(client: Client) -> dict[str, str]:
    """Give the headers of somebody who may make items."""
    return {"Authorization": f"Bearer {token(client)}"}


def test_every_container_is_healthy_and_closed_in(project: Project) -> None:
    containers = project.containers()

    assert set(containers) == set(
        json.loads(project.compose("config", "--format=json"))["services"]
    )
    for name, container in containers.items():
        host, config, state = container["HostConfig"], container["Config"], container["State"]
        if name == "migrate":
            assert (state["Status"], state["ExitCode"]) == ("exited", 0)
        else:
            assert state["Health"]["Status"] == "healthy", name
            assert host["RestartPolicy"]["Name"] == "unless-stopped", name
        assert config["User"] not in {"", "0", "root"}, name
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["CapAdd"], name
        assert not host["Privileged"], name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert host["Memory"], name
        assert host["NanoCpus"], name
        assert host["PidsLimit"], name
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}, name
        assert not [mount for mount in container["Mounts"] if "docker.sock" in mount["Source"]], (
            name
        )


def test_secrets_are_files_and_each_container_has_its_own(project: Project) -> None:
    values = {
        line for text in project.secrets().values() for line in text.splitlines() if len(line) > 20
    }
    listed = project.run("docker", "inspect", *project.compose("ps", "-aq").split())
    listed += project.run("docker", "image", "inspect", project.image)

    assert len(values) > 2
    assert not [value for value in values if value in listed]
    allowed = {
        "database": {"database_password"},
        "redis": {"redis_configuration"},
        "proxy": {"tls_certificate", "tls_key"},
    }
    own = {"database_url", "jwt_secret", "redis_url"}
    for name, container in project.containers().items():
        mounted = {
            Path(mount["Destination"]).name
            for mount in container["Mounts"]
            if mount["Destination"].startswith("/run/secrets/")
        }
        assert mounted
        assert mounted <= allowed.get(name, own), name
    # Others on this machine cannot reach the files through their folder.
    assert (project.folder / "secrets").stat().st_mode & 0o077 == 0


def test_secrets_are_made_once(plain: Project) -> None:
    before = plain.secrets()

    printed = plain.run("sh", "deploy/make-secrets.sh")

    assert plain.secrets() == before
    assert not printed


def test_the_service_serves_its_database(plain: Project, client: Client) -> None:
    headers = signed_in(client)

    made = client.ask("POST", ITEMS, LAMP, headers=headers)

    assert made.status == 201
    question = "SELECT name FROM items"
    ask = ["--no-align", "--tuples-only", f"--command={question}"]
    rows = plain.compose("exec", "-T", "database", "psql", "-U", "order_service", *ask)
    assert "Lamp" in rows.split()


def test_the_database_is_out_of_everybody_s_reach(plain: Project) -> None:
    networks = plain.compose_file()["networks"]

    assert networks["inside"]["internal"]
    containers = plain.containers()
    assert not containers["database"]["HostConfig"]["PortBindings"]
    published = containers["service"]["HostConfig"]["PortBindings"]["8000/tcp"]
    assert [one["HostIp"] for one in published] == ["127.0.0.1"]


def test_a_database_that_stops_under_load_is_a_503_and_comes_back(
    plain: Project, client: Client
) -> None:
    headers = signed_in(client)
    seen: list[tuple[float, int]] = []
    asking = threading.Event()

    def ask_on() -> None:
        with plain.client() as other:
            while not asking.wait(0.05):
                # A new name each time, so that no cache can answer.
                answer = other.ask("GET", ITEMS, headers=headers)
                seen.append((time.monotonic(), answer.status))

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        wait_for(lambda: len(seen) > 5, "answers")
        plain.compose("stop", "database")
        stopped = time.monotonic()
        wait_for(lambda: [s for t, s in seen if t > stopped][3:] != [], "answers without it", 90)
        live = client.ask("GET", "/health/live").status
        ready = client.ask("GET", "/health/ready").status
        plain.compose("up", "--detach", "--wait", "database")
        wait_for(lambda: client.ask("GET", "/health/ready").status == 200, "recovery", 30)
        recovered = time.monotonic()
        wait_for(lambda: [s for t, s in seen if t > recovered][3:] != [], "answers with it", 30)
    finally:
        asking.set()
        thread.join()

    assert (live, ready) == (200, 503)
    # Nothing but success and "not now": neither an internal error nor a lost connection.
    assert {status for _, status in seen} == {200, 503}
    assert {status for moment, status in seen if moment > recovered} == {200}
    # The service is not restarted for what is not its fault.
    assert plain.containers()["service"]["RestartCount"] == 0


def test_a_backup_brings_everything_back(plain: Project, client: Client) -> None:
    headers = signed_in(client)
    made = client.ask("POST", ITEMS, LAMP, headers=headers).json()
    plain.run("sh", "deploy/backup.sh", "backups/today")
    backup = plain.folder / "backups" / "today"
    assert backup.stat().st_mode & 0o077 == 0
    # What is broken is refused, and changes nothing.
    broken = plain.folder / "backups" / "broken"
    broken.write_bytes(backup.read_bytes()[: backup.stat().st_size // 2])
    plain.run("sh", "deploy/restore.sh", broken, status=1)
    assert client.ask("GET", f"{ITEMS}/{made['id']}", headers=headers).status == 200

    plain.compose("down", "--volumes", "--remove-orphans", "--timeout=3")
    # What breaks off is no backup.
    plain.run("sh", "deploy/backup.sh", "backups/none", status=1)
    assert not (plain.folder / "backups" / "none").exists()
    plain.run("sh", "deploy/restore.sh", backup)

    with plain.client() as after:
        found = after.ask("GET", f"{ITEMS}/{made['id']}", headers=headers)
        assert found.json()["name"] == "Lamp"


def test_the_proxy_ends_tls(browser: Client) -> None:
    secure = browser.ask("GET", "/health/ready")
    redirected = browser.ask("POST", "/x?y=1", "", scheme="http", port=8080)

    assert secure.status == 200
    assert secure.headers["strict-transport-security"] == "max-age=31536000"
    assert redirected.status == 308
    assert redirected.headers["location"] == "https://localhost/x?y=1"
    assert browser.ask("GET", "/health", tls="TLSv1_2").status == 200
    assert browser.ask("GET", "/health", tls="TLSv1_3").status == 200
    assert browser.ask("GET", "/health", tls="TLSv1_1").status == 0


def test_the_proxy_and_the_service_have_one_limit_for_bodies(browser: Client) -> None:
    largest = json.dumps("x" * (1_048_576 - 2))

    taken = browser.ask("POST", "/api/v1/users", largest)
    refused = browser.ask("POST", "/api/v1/users", largest + " ")

    assert taken.status == 422
    assert refused.status == 413
    assert refused.headers["content-type"] == "application/problem+json"
    assert set(refused.json()) == set(browser.ask("GET", "/nowhere").json())
    assert refused.json()["code"] == "content_too_large"
    # It was the proxy: what the service answers has a policy for browsers.
    assert "content-security-policy" in taken.headers
    assert "content-security-policy" not in refused.headers


def test_the_service_knows_clients_by_what_the_proxy_says(whole: Project, browser: Client) -> None:
    def left(client: Client, **headers: str) -> int:
        limits = client.ask("GET", "/docs", headers=headers).headers["ratelimit"]
        return int(limits.split("r=")[1].split(";")[0])

    first = left(browser)
    # A claim of one's own changes nothing: it is the same client.
    claimed = left(browser, **{"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"})
    with whole.client("entrance", "proxy", "https", 8443) as other:
        others = left(other)

    assert claimed == first - 1
    assert others > claimed


def test_nobody_but_the_proxy_is_believed(whole: Project) -> None:
    with whole.client("default") as neighbour:
        limits = [
            neighbour.ask("GET", "/docs", headers={"X-Forwarded-For": address}).headers["ratelimit"]
            for address in ("203.0.113.8", "203.0.113.9")
        ]

    one, other = (int(limit.split("r=")[1].split(";")[0]) for limit in limits)
    assert other == one - 1


def test_the_worker_does_what_a_request_asked_for(whole: Project, browser: Client) -> None:
    signed_in(browser)

    wait_for(lambda: "welcome_message" in whole.logs("worker"), "welcome message", 30)


def test_prometheus_reads_every_process_and_the_alerts(whole: Project) -> None:
    whole.up("prometheus", COMPOSE_PROFILES="observability")
    with whole.client("default", "prometheus", port=9090) as client:

        def targets() -> set[tuple[str, str]]:
            found = client.ask("GET", "/api/v1/targets").json()["data"]["activeTargets"]
            return {(one["labels"]["job"], one["health"]) for one in found}

        wait_for(lambda: targets() == {("order-service", "up")}, "target that is up", 60)
        found = client.ask("GET", "/api/v1/targets").json()["data"]["activeTargets"]
        rules = client.ask("GET", "/api/v1/rules").json()["data"]["groups"]

    assert len(found) == 3
    assert [group["name"] for group in rules] == ["order-service"]


def test_they_end_in_good_order(whole: Project, browser: Client) -> None:
    whole.compose("stop", "service")
    answer = browser.ask("GET", ITEMS)
    whole.compose("--profile=*", "stop")

    # As long as the proxy stood there alone, it said so.
    assert answer.status == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["code"] == "unavailable"
    assert answer.headers["strict-transport-security"]
    codes = {name: one["State"]["ExitCode"] for name, one in whole.containers().items()}
    assert set(codes.values()) == {0}, codes


def test_a_file_is_a_database_too(small: Project) -> None:
    small.up("--build")
    with small.client() as client:
        made = client.ask("POST", ITEMS, LAMP).json()
        small.run("sh", "deploy/backup.sh", "backups/today")
        broken = small.folder / "backups" / "broken"
        broken.write_bytes(b"SQLite format 3\0" + b"broken" * 1000)
        small.run("sh", "deploy/restore.sh", broken, status=1)
        assert client.ask("GET", f"{ITEMS}/{made['id']}").status == 200
    small.compose("down", "--volumes", "--timeout=3")

    small.run("sh", "deploy/restore.sh", "backups/today")

    with small.client() as client:
        assert client.ask("GET", f"{ITEMS}/{made['id']}").json()["name"] == "Lamp"


def test_a_change_of_the_code_is_seen_at_once(small: Project) -> None:
    small.files = ["compose.yaml", "compose.development.yaml"]
    small.up()
    health = next(small.folder.glob("src/*/core/http/health.py"))
    text = health.read_text("utf-8")

    with small.client() as client:
        assert client.ask("GET", "/health").json()["service"] == "order-service"
        changed = text.replace("service: str = DISTRIBUTION", 'service: str = "changed"')
        assert changed != text
        health.write_text(changed, "utf-8")

        def is_changed() -> bool:
            answer = client.ask("GET", "/health")
            return answer.status == 200 and answer.json()["service"] == "changed"

        wait_for(is_changed, "change", 30)
