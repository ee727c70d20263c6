"""The files of delivery, read without an engine: linters, and whether they fit together."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.answers import EACH_VARIANT, VARIANTS, Answers, choices
from tests.commands import run
from tests.conftest import Render
from tests.service_settings import settings_of

TOOLS = Path(sys.executable).parent

MISCONFIGURATIONS = ["config", "--quiet", "--skip-check-update", "--skip-dirs=chart"]
"""What trivy is asked; the chart has a test of its own."""

WATCHED: Answers = {
    "cache": "redis",
    "jobs": "taskiq",
    "proxy": "traefik",
    "observability": choices("observability"),
    "parts": choices("parts"),
}
"""What has a configuration of its own for each of the containers that watch."""

OWN_VARIABLES = {"OTEL_EXPORTER_OTLP_ENDPOINT", "PYTHONPATH"}
"""What a process reads that is no setting, or that a standard names."""

every_variant = pytest.mark.parametrize("answers", EACH_VARIANT)


def read(path: Path) -> Any:  # noqa: ANN401 - It is whatever the file holds.
    """Read a file of YAML."""
    return yaml.safe_load(path.read_text("utf-8"))


@every_variant
def test_what_compose_mounts_is_there(render: Render, answers: Answers) -> None:
    service = render(answers)

    mounted = [
        volume.split(":")[0]
        for one in read(service / "compose.yaml")["services"].values()
        for volume in one.get("volumes", [])
        if volume.startswith("./")
    ]

    assert [path for path in mounted if not (service / path).is_file()] == []


@every_variant
def test_what_compose_sets_is_a_setting(render: Render, answers: Answers) -> None:
    service = render(answers)
    known = set(settings_of(service))

    services = read(service / "compose.yaml")["services"]
    own = services["service"]["environment"]

    assert {name.lower() for name in set(own) - OWN_VARIABLES} <= known
    # A mounted secret is a setting, too: the file's name is the variable's.
    assert set(services["service"].get("secrets", [])) <= known


@every_variant
def test_what_a_process_needs_is_there_before_it_starts(render: Render, answers: Answers) -> None:
    services = read(render(answers) / "compose.yaml")["services"]
    done, well = "service_completed_successfully", "service_healthy"

    def needed(name: str) -> dict[str, str]:
        needs = services[name].get("depends_on", {})
        # The short form waits for a start alone.
        if isinstance(needs, list):
            return dict.fromkeys(needs, "service_started")
        return {other: how["condition"] for other, how in needs.items()}

    # Whoever asks for the schema waits until it is the newest, and the proxy for somebody
    # who answers: a race would be won on a quick machine, and lost on the day it matters.
    processes = {"migrate": done} if "migrate" in services else {}
    processes |= {"redis": well} if "redis" in services else {}
    for name in {"service", "worker", "scheduler"} & set(services):
        assert needed(name) == processes
    if "database" in services:
        assert needed("migrate") == {"database": well}
    if "proxy" in services:
        assert needed("proxy") == {"service": well}
    for name in {other for one in services for other, how in needed(one).items() if how == well}:
        # The service's own check is in its image.
        assert name == "service" or services[name]["healthcheck"]["test"]


@every_variant
def test_linters_find_nothing(render: Render, answers: Answers) -> None:
    service = render(answers)

    run(TOOLS / "hadolint", "Dockerfile", cwd=service)
    run(TOOLS / "shellcheck", *sorted(service.glob("deploy/*.sh")), cwd=service)


@pytest.mark.parametrize("name", ["defaults", "all-on", "all-off"])
def test_trivy_finds_nothing(render: Render, name: str) -> None:
    printed = run(
        TOOLS / "trivy", *MISCONFIGURATIONS, "--format=json", ".", cwd=render(VARIANTS[name])
    )

    (found,) = json.loads(printed)["Results"]
    assert found["Target"] == "Dockerfile"
    assert found["MisconfSummary"]["Successes"] > 20
    assert not found["MisconfSummary"]["Failures"], printed


def test_the_linters_are_not_blind(render: Render, tmp_path: Path) -> None:
    service = shutil.copytree(render({}), tmp_path / "service")
    dockerfile = service / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text("utf-8").replace("USER 10001:10001", "USER root"))

    for command in (
        ["hadolint", "Dockerfile"],
        ["trivy", *MISCONFIGURATIONS, "--exit-code=1", "."],
    ):
        name, *arguments = command
        found = subprocess.run(
            [TOOLS / name, *arguments], cwd=service, capture_output=True, check=False
        )
        assert found.returncode == 1, found


# Of what watches the service, only Prometheus can be run where no registry is within
# reach: tests/delivery does. What the others are told is held against what it is about.


@pytest.mark.parametrize("jobs", ["none", "taskiq", "celery"])
def test_prometheus_reads_every_process_that_has_numbers(render: Render, jobs: str) -> None:
    service = render({**WATCHED, "jobs": jobs})
    services = read(service / "compose.yaml")["services"]
    prometheus = read(service / "deploy/prometheus.yaml")

    (job,) = prometheus["scrape_configs"]
    (targets,) = job["dns_sd_configs"]
    # `migrate` ends before anybody could ask it.
    processes = {
        name
        for name, one in services.items()
        if "METRICS_PORT" in one.get("environment", {}) and name != "migrate"
    }
    assert set(targets["names"]) == processes
    ports = {services[name]["environment"]["METRICS_PORT"] for name in processes}
    assert ports == {str(targets["port"])}
    # A container finds another one where the two share a network.
    for name in processes:
        assert "default" in services[name]["networks"]
    assert "networks" not in services["prometheus"]
    # The alerts and the dashboard ask for the job by this name.
    alerts = read(service / "monitoring/alerts.yml")
    asked = set(re.findall(r'job="([^"]+)"', json.dumps(alerts).replace("\\", "")))
    assert asked == {job["job_name"]}
    mounted = dict(volume.split(":")[:2] for volume in services["prometheus"]["volumes"])
    assert prometheus["rule_files"] == [mounted["./monitoring/alerts.yml"]]


@pytest.mark.parametrize("observability", [["metrics"], ["metrics", "tracing"]])
def test_grafana_shows_the_dashboard(render: Render, observability: list[str]) -> None:
    service = render({**WATCHED, "observability": observability})
    services = read(service / "compose.yaml")["services"]
    sources = read(service / "deploy/grafana-datasources.yaml")["datasources"]
    (provider,) = read(service / "deploy/grafana-dashboards.yaml")["providers"]
    dashboard = json.loads((service / "monitoring/grafana-dashboard.json").read_text("utf-8"))

    mounted = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    shown = Path(mounted["./monitoring/grafana-dashboard.json"])
    assert str(shown.parent) == provider["options"]["path"]
    # The dashboard takes the one source of the type it asks for, whatever its id is.
    variable, *_ = dashboard["templating"]["list"]
    assert variable["type"] == "datasource"
    used = {panel["datasource"]["uid"] for panel in dashboard["panels"] if "datasource" in panel}
    assert used == {f"${{{variable['name']}}}"}
    assert [one["isDefault"] for one in sources if one["type"] == variable["query"]] == [True]
    for one in sources:
        name, _, port = one["url"].removeprefix("http://").partition(":")
        published = services[name]["ports"][0]
        assert published.endswith(f":{port}"), one
    assert {one["type"] for one in sources} == {"prometheus"} | (
        {"jaeger"} if "tracing" in observability else set()
    )


def test_traces_go_from_the_processes_over_the_collector_to_jaeger(render: Render) -> None:
    service = render(WATCHED)
    services = read(service / "compose.yaml")["services"]
    collector = read(service / "deploy/collector.yaml")

    pipelines = collector["service"]["pipelines"]
    assert list(pipelines) == ["traces"]
    for kind in ("receivers", "processors", "exporters"):
        # Nothing is used that is not there, and nothing is there that is not used.
        assert set(pipelines["traces"][kind]) == set(collector[kind])
    # The limit comes first, so that a flood is refused before it is kept.
    assert pipelines["traces"]["processors"][0] == "memory_limiter"
    memory = services["collector"]["deploy"]["resources"]["limits"]["memory"]
    assert collector["processors"]["memory_limiter"]["limit_mib"] < int(memory.removesuffix("M"))
    (command,) = services["collector"]["command"]
    mounted = dict(volume.split(":")[:2] for volume in services["collector"]["volumes"])
    assert command == f"--config={mounted['./deploy/collector.yaml']}"

    (exporter,) = collector["exporters"].values()
    # 4317 is where Jaeger takes OTLP over gRPC, which is what this exporter speaks.
    assert exporter["endpoint"] == "jaeger:4317"
    assert "jaeger" in services
    (receiver,) = collector["receivers"].values()
    listens = receiver["protocols"]["http"]["endpoint"].rpartition(":")[2]
    for name in ("service", "worker", "scheduler"):
        sent_to = services[name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"]
        assert f"http://collector:{listens}}}" in sent_to
        assert "default" in services[name]["networks"]


def test_what_traefik_names_is_there(render: Render) -> None:
    service = render(WATCHED)
    proxy = read(service / "compose.yaml")["services"]["proxy"]
    text = (service / "deploy/traefik.yaml.template").read_text("utf-8")
    # Traefik itself fills these in; here, all conditions are true.
    asked = set(re.findall(r'env "(\w+)"', text))
    text = re.sub(r"^\{\{- (?:if .*|end) \}\}\n", "", text, flags=re.MULTILINE)
    text = re.sub(r'\{\{ env "(\w+)" \}\}', "1", text)
    document = yaml.safe_load(text)
    options = dict(option.removeprefix("--").split("=", 1) for option in proxy["command"])

    assert asked == set(proxy["environment"])
    http = document["http"]
    (router,) = http["routers"].values()
    assert set(router["middlewares"]) == set(http["middlewares"])
    assert router["service"] in http["services"]
    assert router["tls"]["options"] in document["tls"]["options"]
    assert f"certificatesResolvers.{router['tls']['certResolver']}.acme.email" in options
    (entrance,) = router["entryPoints"]
    assert any(port.endswith(options[f"entryPoints.{entrance}.address"]) for port in proxy["ports"])
    balancer = http["services"][router["service"]]["loadBalancer"]
    assert balancer["serversTransport"] in http["serversTransports"]
    assert [one["url"] for one in balancer["servers"]] == ["http://service:8000"]
    mounted = dict(volume.split(":")[:2] for volume in proxy["volumes"])
    assert options["providers.file.filename"] == mounted["./deploy/traefik.yaml.template"]
    # What is plain is sent on, TLS is not old, browsers are told, and bodies have an end.
    assert options["entryPoints.http.http.redirections.entryPoint.scheme"] == "https"
    assert document["tls"]["options"]["default"]["minVersion"] == "VersionTLS12"
    assert "stsSeconds" in http["middlewares"]["hsts"]["headers"]
    assert "maxRequestBodyBytes" in http["middlewares"]["body-limit"]["buffering"]
    # Without this option, it replaces what a client says of where it comes from.
    assert not [name for name in options if "forwardedHeaders" in name]
    assert not [name for name in options if "docker" in name]


@pytest.mark.parametrize(
    ("proxy", "seconds"),
    [
        ("nginx", r"^    keepalive_timeout (\d+)s;$"),
        ("traefik", r"^        idleConnTimeout: (\d+)s$"),
    ],
)
def test_proxy_lets_go_of_an_idle_connection_before_the_service(
    render: Render, proxy: str, seconds: str
) -> None:
    service = render({**WATCHED, "proxy": proxy})
    (file,) = (service / "deploy").glob(f"{proxy}.*.template")
    settings = (service / "src/order_service/core/http/settings.py").read_text("utf-8")

    (proxy_waits,) = re.findall(seconds, file.read_text("utf-8"), re.MULTILINE)
    (service_waits,) = re.findall(r"keep_alive_seconds: int = Field\(default=(\d+)", settings)
    assert int(proxy_waits) < int(service_waits)
