"""One promise for each answer, kept by a running service: `uv run pytest -m promises`."""

import gzip
import http.server
import json
import re
import subprocess
import sys
import threading
import tomllib
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests import test_bots, test_chart, test_containers, test_docs_site, test_parts, test_render
from tests.answers import FACTORS, ROOT, Answers, answer_of
from tests.commands import run
from tests.conftest import Render
from tests.delivery import test_compose, test_pipelines
from tests.receivers import Receiver, wait_for
from tests.running import ITEMS, ask, developing, sign_in

pytestmark = [pytest.mark.slow, pytest.mark.promises]

OPEN: Answers = {"auth": "none"}


class Promise(NamedTuple):
    """What an answer promises, and the test that sees it kept."""

    sentence: str
    answers: Answers
    keep: Callable[[Path], None]


def survives_a_kill(service: Path) -> None:
    with developing(service) as (url, _):
        created = ask(f"{url}{ITEMS}", "POST", {"name": "Lamp"})
        assert created.status == 201
    with developing(service) as (url, _):
        assert ask(f"{url}{ITEMS}/{created.body['id']}") == (200, created.body)


def is_postgresql(service: Path) -> None:
    survives_a_kill(service)
    assert "Database: PostgreSQL" in (service / "dev.log").read_text("utf-8")


def is_sqlite(service: Path) -> None:
    survives_a_kill(service)
    assert (service / ".local/database.db").read_bytes().startswith(b"SQLite format 3")


def forgets_with_its_process(service: Path) -> None:
    with developing(service) as (url, _):
        created = ask(f"{url}{ITEMS}", "POST", {"name": "Lamp"})
        assert ask(f"{url}{ITEMS}/{created.body['id']}") == (200, created.body)
    with developing(service) as (url, _):
        assert ask(f"{url}{ITEMS}/{created.body['id']}").status == 404
    assert not (service / ".local").exists()


def protects_what_belongs_to_somebody(service: Path) -> None:
    with developing(service) as (url, _):
        ada, eve = sign_in(url, "ada@example.com"), sign_in(url, "eve@example.com")
        created = ask(f"{url}{ITEMS}", "POST", {"name": "Lamp"}, ada)
        item = f"{url}{ITEMS}/{created.body['id']}"
        statuses = [ask(item, token=token).status for token in (ada, eve, "", "a.b.c")]
        assert statuses == [200, 404, 401, 401]


def is_open(service: Path) -> None:
    with developing(service) as (url, _):
        assert ask(f"{url}{ITEMS}", "POST", {"name": "Lamp"}).status == 201
        document = ask(f"{url}/openapi.json").body
        assert "securitySchemes" not in document["components"]
        assert not [path for path in document["paths"] if "auth" in path or "users" in path]


VALKEY = """
from order_service_dev.redis import local_redis

with local_redis() as server:
    print(server.url, flush=True)
    input()
"""
"""Runs the Valkey that a service brings, until somebody presses return."""


def statuses_at_two(service: Path, **environment: str) -> list[int]:
    environment["RATE_LIMIT_DEFAULT"] = "5/minute"
    with (
        developing(service, **environment) as (one, _),
        developing(service, **environment) as (two, _),
    ):
        return [ask(f"{url}/nowhere").status for url in (one, two) * 5]


def counts_for_all_processes(service: Path) -> None:
    command = [str(service / ".venv/bin/python"), "-c", VALKEY]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as valkey:
        assert valkey.stdout is not None
        url = valkey.stdout.readline().strip()
        try:
            assert statuses_at_two(service, REDIS_URL=url) == [404] * 5 + [429] * 5
        finally:
            valkey.communicate("\n")


def counts_for_itself(service: Path) -> None:
    assert statuses_at_two(service) == [404] * 10


def check_config(service: Path, **environment: str) -> str:
    """Check the settings of production, with nothing but these."""
    bare = {"ENVIRONMENT": "production", **environment}
    return run("uv", "run", "--no-sync", "order-service", "check-config", cwd=service,
               environment=bare)  # fmt: skip


def reads_mounted_files(service: Path) -> None:
    mounted = service / "mounted"
    mounted.mkdir()
    (mounted / "jwt_secret").write_text("Qm9yZWQsIGJvcmVkLCBib3JlZCBvZiBrZXlz\n", "utf-8")
    (mounted / "database_url").write_text("postgresql://u:p@db.example.com/orders\n", "utf-8")
    assert "usable" in check_config(service, SECRETS_DIR=str(mounted))


def reads_vault(service: Path) -> None:
    kept = {
        "JWT_SECRET": "Qm9yZWQsIGJvcmVkLCBib3JlZCBvZiBrZXlz",
        "DATABASE_URL": "postgresql://u:p@db.example.com/orders",
    }

    class Vault(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["X-Vault-Token"] == "token of this test"
            body = json.dumps({"data": {"data": kept, "metadata": {"version": 1}}})
            self.send_response(200 if known else 403)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Vault) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        access = {"VAULT_TOKEN": "token of this test", "VAULT_PATH": "secret/orders"}
        address = f"http://127.0.0.1:{server.server_port}"
        said = check_config(service, VAULT_ADDR=address, **access)
        server.shutdown()
    assert "usable" in said


def reads_aws(service: Path) -> None:
    # The platform's tests hold it against moto, which speaks AWS's protocol.
    said = run(sys.executable, "-m", "tests.platform", service, "secrets/test_aws.py", cwd=ROOT)
    assert " passed" in said
    assert "skipped" not in said


def no_jobs(service: Path) -> None:
    said = run("uv", "run", "--no-sync", "order-service", "--help", cwd=service)
    assert "worker" not in said
    with (
        Receiver().serving() as receiver,
        developing(service, NOTIFICATIONS_URL=receiver.url) as (url, _),
    ):
        sign_in(url, "ada@example.com")
    assert not receiver.received


def welcomes_everybody_once(service: Path) -> None:
    with (
        Receiver().serving() as receiver,
        developing(service, NOTIFICATIONS_URL=receiver.url) as (url, _),
    ):
        sign_in(url, "ada@example.com")
        assert ask(f"{url}/api/v1/users", "POST", {"email": "x"}).status == 422
        wait_for(lambda: bool(receiver.received), "welcome")
        sign_in(url, "eve@example.com")
        wait_for(lambda: len(receiver.received) > 1, "second welcome")
    keys = {request.headers["idempotency-key"] for request in receiver.received}
    assert len(keys) == len(receiver.received) == 2


COUNTED = 'http_requests_total{endpoint="/api/v1/items/{item_id}",method="GET",status="404"}'


def read_metrics(service: Path) -> tuple[int, str]:
    with developing(service) as (url, _):
        for _ in range(3):
            assert ask(f"{url}{ITEMS}/5f1b5a5e-0000-4000-8000-000000000000").status == 404
        try:
            with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""


def counts_requests(service: Path) -> None:
    status, text = read_metrics(service)
    assert status == 200
    assert f"{COUNTED} 3.0" in text


def counts_nothing(service: Path) -> None:
    assert read_metrics(service)[0] == 404


def traced(service: Path) -> Receiver:
    with Receiver().serving() as receiver:
        collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with developing(service, **collector) as (url, _):
            assert ask(f"{url}{ITEMS}").status == 200
            if "opentelemetry-sdk" in (service / "pyproject.toml").read_text("utf-8"):
                wait_for(lambda: bool(receiver.received), "span")
    return receiver


def sends_spans(service: Path) -> None:
    received = traced(service).received
    assert {request.path for request in received} == {"/v1/traces"}
    assert any(b"GET /api/v1/items" in request.body for request in received)
    assert any(b"order-service" in request.body for request in received)


def sends_no_spans(service: Path) -> None:
    assert not traced(service).received


def reports_items(service: Path) -> None:
    with developing(service) as (url, _):
        for name in ("Lamp", "Desk"):
            assert ask(f"{url}{ITEMS}", "POST", {"name": name}).status == 201
        said = run("uv", "run", "--no-sync", "order-service", "report-items", cwd=service,
                   environment={"ENVIRONMENT": "development"})  # fmt: skip
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert re.search(rf"(?m)^{today},2\b", said), said


def reports_no_items(service: Path) -> None:
    said = run("uv", "run", "--no-sync", "order-service", "--help", cwd=service)
    assert "report-items" not in said
    assert "polars" not in (service / "uv.lock").read_text("utf-8")


def steps(service: Path) -> list[str]:
    """List the steps of the pipeline."""
    pipeline = yaml.safe_load((service / ".github/workflows/ci.yml").read_text("utf-8"))
    return [
        str(step.get("uses") or step["run"]).partition("@")[0]
        for job in pipeline["jobs"].values()
        for step in job["steps"]
    ]


def uploads_coverage(service: Path) -> None:
    found = steps(service)
    assert found.index("codecov/codecov-action") > found.index("uv run poe test")
    policy = yaml.safe_load((service / "codecov.yml").read_text("utf-8"))
    statuses = policy["coverage"]["status"]
    assert all(status["default"]["informational"] for status in statuses.values())
    assert "fail_under" in (service / "pyproject.toml").read_text("utf-8")


def uploads_nothing(service: Path) -> None:
    assert "codecov/codecov-action" not in steps(service)
    assert "fail_under" in (service / "pyproject.toml").read_text("utf-8")


BOOM = """
    @app.get("/boom")
    async def boom() -> None:
        message = "Something nobody has thought of."
        raise RuntimeError(message)
"""


def failing(service: Path) -> Receiver:
    """Serve with an error in it, and look at what is reported."""
    with (service / "src/order_service/extras.py").open("a", encoding="utf-8") as extras:
        extras.write(BOOM)
    with Receiver().serving() as receiver:
        address = receiver.url.removeprefix("http://")
        with developing(service, SENTRY_DSN=f"http://public@{address}/1") as (url, _):
            assert ask(f"{url}/boom?token=hunter2").status == 500
            if "sentry-sdk" in (service / "pyproject.toml").read_text("utf-8"):
                wait_for(lambda: bool(receiver.received), "report")
    return receiver


def reports_errors(service: Path) -> None:
    received = failing(service).received
    texts = [
        gzip.decompress(request.body) if request.headers.get("content-encoding") else request.body
        for request in received
    ]
    assert any(b"Something nobody has thought of." in text for text in texts)
    assert not any(b"hunter2" in text for text in texts)


def reports_nothing(service: Path) -> None:
    assert not failing(service).received


def has_folders(*folders: str) -> Callable[[Path], None]:
    """Check how a service groups its code, and that it answers."""

    def keep(service: Path) -> None:
        package = service / "src/order_service"
        assert {path.name for path in package.iterdir() if path.is_dir()} >= set(folders)
        with developing(service) as (url, _):
            assert ask(f"{url}{ITEMS}", "POST", {"name": "Lamp"}).status == 201

    return keep


def licensed(expression: str, text: str) -> Callable[[Path], None]:
    """Check the licence of the package as it is built."""

    def keep(service: Path) -> None:
        run("uv", "build", "--quiet", "--wheel", cwd=service)
        (wheel,) = (service / "dist").glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(service / "wheel")
        (information,) = (service / "wheel").glob("*.dist-info")
        metadata = (information / "METADATA").read_text("utf-8")
        assert f"License-Expression: {expression}" in metadata
        assert text in (information / "licenses/LICENSE").read_text("utf-8")
        assert ("Do Not Upload" in metadata) is (expression == "LicenseRef-Proprietary")

    return keep


def supports(version: str) -> Callable[[Path], None]:
    """Check which Pythons the package accepts, and what its pipeline runs on."""

    def keep(service: Path) -> None:
        project = tomllib.loads((service / "pyproject.toml").read_text("utf-8"))["project"]
        assert project["requires-python"].startswith(f">={version},")
        assert f'"{version}"' in (service / ".github/workflows/ci.yml").read_text("utf-8")

    return keep


def promises() -> Iterator[tuple[str, Promise]]:
    """Give the promise of each answer."""
    layers, features = ["api", "services", "repositories", "models"], ["items", "core"]
    yield "layout=domain", Promise("a folder per feature", OPEN, has_folders(*features))
    yield "layout=layered", Promise("a folder per layer", OPEN, has_folders(*layers))
    yield "database=postgresql", Promise("PostgreSQL keeps data", OPEN, is_postgresql)
    yield "database=sqlite", Promise("one file keeps data", OPEN, is_sqlite)
    yield "database=none", Promise("memory, and nothing else", OPEN, forgets_with_its_process)
    yield "auth=jwt", Promise("items are their owner's", {}, protects_what_belongs_to_somebody)
    yield "auth=none", Promise("open to everyone", {}, is_open)
    yield "cache=redis", Promise("processes count together", OPEN, counts_for_all_processes)
    yield "cache=memory", Promise("each process for itself", OPEN, counts_for_itself)
    redis: Answers = {"cache": "redis"}
    yield "jobs=none", Promise("requests do their own work", redis, no_jobs)
    for engine in ("taskiq", "celery"):
        promise = Promise("everybody is welcomed once", redis, welcomes_everybody_once)
        yield f"jobs={engine}", promise
    yield "metrics=yes", Promise("requests are counted", OPEN, counts_requests)
    yield "metrics=no", Promise("nothing is counted", OPEN, counts_nothing)
    yield "tracing=yes", Promise("spans reach a collector", OPEN, sends_spans)
    yield "tracing=no", Promise("no spans are made", OPEN, sends_no_spans)
    yield "sentry=yes", Promise("errors are reported", OPEN, reports_errors)
    yield "sentry=no", Promise("errors are logged alone", OPEN, reports_nothing)
    yield "data_tools=yes", Promise("items are reported on", OPEN, reports_items)
    yield "data_tools=no", Promise("no report, no Polars", OPEN, reports_no_items)
    yield "codecov=yes", Promise("coverage is uploaded", OPEN, uploads_coverage)
    yield "codecov=no", Promise("coverage stays here", OPEN, uploads_nothing)
    yield "secrets=platform", Promise("mounted files are read", {}, reads_mounted_files)
    yield "secrets=aws", Promise("Secrets Manager is read", {}, reads_aws)
    yield "secrets=vault", Promise("Vault is read", {}, reads_vault)
    for name, text in {
        "MIT": "Permission is hereby granted, free of charge",
        "Apache-2.0": "Apache License",
        "BSD-3-Clause": "Redistribution and use in source and binary forms",
    }.items():
        yield f"license={name}", Promise(f"licensed as {name}", OPEN, licensed(name, text))
    proprietary = licensed("LicenseRef-Proprietary", "All rights reserved")
    yield "license=Proprietary", Promise("no slip can publish it", OPEN, proprietary)
    for version in FACTORS["python_version"]:
        promise = Promise(f"{version} and newer", OPEN, supports(version))
        yield f"python_version={version}", promise


PROMISES = dict(promises())

ELSEWHERE: dict[str, Callable[..., None]] = {
    "ci=github": test_pipelines.test_github_runs_every_check,
    "ci=gitlab": test_pipelines.test_gitlab_runs_every_check,
    "proxy=none": test_compose.test_the_service_serves_its_database,
    "proxy=nginx": test_compose.test_the_proxy_ends_tls,
    "proxy=traefik": test_containers.test_what_traefik_names_is_there,
    "kubernetes=yes": test_chart.test_the_objects_agree,
    "kubernetes=no": test_render.test_what_is_left_out_leaves_no_trace,
    "dependency_bot=renovate": test_bots.test_renovate_brings_the_template_and_all_that_is_pinned,
    "dependency_bot=dependabot": test_bots.test_dependabot_looks_at_each_kind_of_dependency,
    "dependency_bot=none": test_bots.test_a_release_without_conflict_is_proposed_once,
    "docs_site=yes": test_docs_site.test_every_operation_and_every_schema_has_its_place,
    "docs_site=no": test_render.test_what_is_left_out_leaves_no_trace,
    **dict.fromkeys(test_parts.KEPT, test_parts.test_a_part_keeps_its_promise),
}
"""What no service of this file can show: the test that sees each of these promises kept."""


def test_every_answer_makes_a_promise() -> None:
    answers = {f"{name}={value}" for name, values in FACTORS.items() for value in values}

    assert answers == PROMISES.keys() | ELSEWHERE.keys()
    assert not PROMISES.keys() & ELSEWHERE.keys()


@pytest.mark.parametrize("answer", PROMISES)
def test_a_promise_is_kept(
    project: Render, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, _, value = answer.partition("=")
    promise = PROMISES[answer]
    service = project({**promise.answers, **answer_of(name, value)})
    if name not in {"codecov", "license", "python_version"}:
        run("uv", "sync", "--quiet", cwd=service)

    promise.keep(service)

    with capsys.disabled():
        print(f"\n{answer:24} {promise.sentence:32} kept")
