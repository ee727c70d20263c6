"""Every variant as it comes out: complete, clean, and nothing left of the template."""

import ast
import json
import keyword
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from pytest_copie.plugin import Copie

from tests.answers import ALL_ON, EACH_VARIANT, Answers, choices
from tests.commands import run
from tests.conftest import Render
from tests.test_questions import HOSTILE_NAMES

RUFF = Path(sys.executable).with_name("ruff")

BRACES = {
    "justfile",
    ".github/workflows/ci.yml",
    ".github/workflows/release.yml",
    ".github/workflows/template-update.yml",
    "monitoring/alerts.yml",
    "monitoring/grafana-dashboard.json",
    "deploy/traefik.yaml.template",
    "deploy/try-image.sh",
    "cliff.toml",
}
"""Files whose own language has double braces."""

HELM = "chart/templates/"
"""Files that only Helm reads; test_chart.py has it do so."""

LAYERS = {
    "router": "api",
    "service": "services",
    "report": "reports",
    "repository": "repositories",
    "models": "models",
    "schemas": "schemas",
    "dependencies": "dependencies",
    "commands": "commands",
    "jobs": "jobs",
    "messages": "messages",
}

# What an answer leaves out, in the words of the domain layout. This is written down
# a second time on purpose: copier.yml says how, this says what.
WITHOUT_USERS = (
    r"src/\w+/(auth|users|core/security)/.*|src/\w+_dev/secret\.py|docs/users\.md"
    r"|src/\w+/migrations/versions/\d+_(users|authorization)\.py"
    r"|src/\w+/core/outbox/notification_settings\.py"
    r"|tests/(sign_in|tables|test_jobs|test_sign_in|test_users)\.py"
)
WITHOUT_DATABASE = (
    r"src/\w+/(migrations|core/database)/.*|src/\w+_dev/database\.py|docs/database\.md"
    r"|src/\w+/core/conditional_writes/(conflicts|models)\.py|src/\w+/core/metrics/pool\.py"
    r"|tests/(databases|test_migrations)\.py|deploy/(backup|restore)\.sh"
)
WITHOUT_POSTGRESQL = r"src/\w+_dev/postgres\.py|src/\w+/core/database/postgresql\w*\.py"
WITHOUT_SQLITE = r"src/\w+/core/database/sqlite\w*\.py"
WITHOUT_REDIS = r"src/\w+/core/redis/.*|src/.*/redis\w*\.py|docs/redis\.md|tests/redis_server\.py"
WITHOUT_MEMORY = r"src/\w+/core/(cache|rate_limits)/memory\.py"
WITHOUT_MANAGER = r"src/\w+/core/secrets/{}\.py"
WITHOUT_MANAGERS = r"docs/secrets\.md"
WITHOUT_JOBS = (
    r"src/\w+/(core/outbox|worker)/.*|src/\w+/core/\w+/jobs\.py|src/\w+_dev/reloading\.py"
    r"|src/\w+/users/(jobs|messages)\.py|src/\w+/migrations/versions/\d+_outbox\.py"
    r"|tests/test_jobs\.py|docs/jobs\.md|chart/templates/(worker|scheduler)\.yaml"
)
WITHOUT_ENGINE = r"src/.*{}_engine\.py"
WITHOUT_METRICS = (
    r"src/\w+/core/(metrics/.*|processes/metrics\.py)|docs/metrics\.md"
    r"|chart/templates/metrics\.yaml"
)
WITHOUT_TRACING = r"src/\w+/core/(tracing/.*|\w+/spans\.py)|docs/tracing\.md|deploy/collector\.yaml"
WITHOUT_SENTRY = r"src/\w+/core/error_reports/.*|docs/error-reports\.md"
WITHOUT_EXPORTS = r"src/\w+/core/export/.*"
WITHOUT_DATA_TOOLS = (
    r"src/\w+/(items/(commands|report)|core/frames/.*)(\.py)?|notebooks/.*|docs/reports\.md"
)
WITHOUT_DOCS_SITE = r"docs/reference/.*|zensical\.toml|scripts/site_pages\.py"
WITHOUT_RENOVATE = r"renovate\.json"
WITHOUT_DEPENDABOT = r"\.github/dependabot\.yml"
WITHOUT_UPDATES = r".*/template-update\.yml|scripts/(update|open)_\w+\.py"
WITHOUT_GITHUB = r"\.github/.*"
WITHOUT_GITLAB = r"\.gitlab.*"
WITHOUT_GITHUB_UPDATES = r"\.github/.*/template-update\.yml|scripts/open_pull_request\.py"
WITHOUT_GITLAB_UPDATES = r"\.gitlab/template-update\.yml|scripts/open_merge_request\.py"
WITHOUT_KUBERNETES = r"chart/.*"
WITHOUT_SECRETS = r"deploy/make-secrets\.sh"
WITHOUT_NGINX = r"deploy/nginx.*"
WITHOUT_TRAEFIK = r"deploy/traefik.*"
WITHOUT_CODECOV = r"codecov\.yml"
WITHOUT_PARTS = {
    "rate_limits": r"src/\w+/core/rate_limits/.*|docs/rate-limits\.md",
    "conditional_writes": r"src/\w+/core/conditional_writes/.*|docs/conditional-writes\.md",
    "idempotency_keys": r"src/\w+/core/idempotency/.*|docs/idempotency\.md",
    "read_cache": r"src/\w+/core/(cache/.*|metrics/cache\.py)|docs/cache\.md",
    "http_client": (r"src/\w+/core/http_client/.*|docs/http-client\.md|rules/one-http-client\.yml"),
    "api_keys": r"src/\w+/api_keys/.*|docs/api-keys\.md|tests/test_api_keys\.py",
    "audit_log": r"src/\w+/audit/.*|docs/audit-log\.md|tests/test_audit\.py",
    "processes": r"src/\w+/core/processes/.*|docs/processes\.md",
    "dashboards": (
        r"monitoring/.*|deploy/(grafana|prometheus).*|docs/dashboards\.md"
        r"|chart/templates/alerts\.yaml"
    ),
}
WITHOUT_VERSIONS_AND_KEYS = r"src/\w+/migrations/versions/\d+_versions\.py"


def files(service: Path) -> set[str]:
    """List a service's files."""
    return {str(path.relative_to(service)) for path in service.rglob("*") if path.is_file()}


def texts(service: Path) -> dict[str, str]:
    """Read a service's files."""
    return {name: (service / name).read_text("utf-8") for name in sorted(files(service))}


def layered(name: str) -> str | None:
    """Name the file of the layered layout for one of the domain layout."""
    parts = re.fullmatch(r"(src/\w+)/(api_keys|audit|auth|items|users)/(\w+)\.py", name)
    if parts is None:
        return re.sub(r"(src/\w+)/api\.py", r"\1/api/__init__.py", name)
    package, feature, role = parts.groups()
    return None if role == "__init__" else f"{package}/{LAYERS[role]}/{feature}.py"


PRESETS: dict[str, Answers] = {
    "small": {"auth": "none", "observability": [], "parts": ["rate_limits"]},
    "standard": {"observability": ["metrics"], "parts": ["rate_limits"]},
    "full": {
        "cache": "redis",
        "observability": choices("observability"),
        "parts": choices("parts"),
    },
}


def left_out(answers: Answers) -> list[str]:
    """Name, as patterns, the files that a service with these answers lacks."""
    answers = {**PRESETS[answers.get("preset", "standard")], **answers}
    watched, parts = answers["observability"], answers["parts"]
    bot = answers.get("dependency_bot", "renovate")
    lacks = {
        WITHOUT_USERS: answers.get("auth", "jwt") == "none",
        WITHOUT_DATABASE: answers.get("database") == "none",
        WITHOUT_POSTGRESQL: answers.get("database", "postgresql") != "postgresql",
        WITHOUT_MEMORY: answers.get("cache") == "redis",
        WITHOUT_REDIS: answers.get("cache", "memory") == "memory",
        WITHOUT_JOBS: answers.get("jobs", "none") == "none",
        WITHOUT_METRICS: "metrics" not in watched,
        WITHOUT_TRACING: "tracing" not in watched,
        WITHOUT_SENTRY: "sentry" not in watched,
        WITHOUT_EXPORTS: not {"tracing", "sentry"} & set(watched),
        WITHOUT_MANAGERS: answers.get("secrets", "platform") == "platform",
        WITHOUT_VERSIONS_AND_KEYS: not {"conditional_writes", "idempotency_keys"} & set(parts),
        WITHOUT_DATA_TOOLS: not answers.get("data_tools"),
        WITHOUT_DOCS_SITE: not answers.get("docs_site"),
        WITHOUT_RENOVATE: bot != "renovate",
        WITHOUT_DEPENDABOT: bot != "dependabot",
        WITHOUT_UPDATES: bot == "renovate",
        WITHOUT_GITHUB: answers.get("ci") == "gitlab",
        WITHOUT_GITLAB: answers.get("ci", "github") == "github",
        WITHOUT_GITHUB_UPDATES: answers.get("ci") == "gitlab",
        WITHOUT_GITLAB_UPDATES: answers.get("ci", "github") == "github",
        WITHOUT_KUBERNETES: not answers.get("kubernetes"),
        WITHOUT_CODECOV: not answers.get("codecov"),
        WITHOUT_SQLITE: answers.get("database", "postgresql") != "sqlite",
        WITHOUT_NGINX: answers.get("proxy") != "nginx",
        WITHOUT_TRAEFIK: answers.get("proxy") != "traefik",
        WITHOUT_SECRETS: answers.get("auth") == "none"
        and answers.get("database", "postgresql") != "postgresql"
        and answers.get("cache", "memory") == "memory"
        and answers.get("proxy") != "nginx"
        and "dashboards" not in parts,
    }
    patterns = [pattern for pattern, is_lacking in lacks.items() if is_lacking]
    patterns += [pattern for part, pattern in WITHOUT_PARTS.items() if part not in parts]
    patterns += [
        WITHOUT_MANAGER.format(manager)
        for manager in ("aws", "vault")
        if answers.get("secrets") != manager
    ]
    patterns += [
        WITHOUT_ENGINE.format(engine)
        for engine in ("taskiq", "celery")
        if answers.get("jobs") != engine
    ]
    return patterns


def expected_files(everything: set[str], answers: Answers) -> set[str]:
    """Work out which files a service with these answers has."""
    patterns = left_out(answers)
    expected = {
        name for name in everything if not any(re.fullmatch(pattern, name) for pattern in patterns)
    }
    if answers.get("layout") == "layered":
        moved = {name for name in map(layered, expected) if name}
        folders = {
            name.rpartition("/")[0]
            for name in moved
            if re.fullmatch(rf"src/\w+/({'|'.join(LAYERS.values())})/\w+\.py", name)
        }
        expected = moved | {f"{folder}/__init__.py" for folder in folders}
    return expected


def assert_clean(service: Path) -> None:
    """Check a service's code as its own configuration wants it, writing nothing."""
    run(RUFF, "format", "--check", "--no-cache", ".", cwd=service)
    run(RUFF, "check", "--no-cache", ".", cwd=service)


@pytest.fixture(params=EACH_VARIANT)
def answers(request: pytest.FixtureRequest) -> Answers:
    """The answers of one variant."""
    variant: Answers = request.param
    return variant


# Of some files a service has one kind or the other, so no single one has all of them.
FULLEST: list[Answers] = [
    ALL_ON,
    {
        **ALL_ON,
        "jobs": "taskiq",
        "secrets": "aws",
        "kubernetes": False,
        "proxy": "traefik",
        "dependency_bot": "dependabot",
    },
    {
        **ALL_ON,
        "database": "sqlite",
        "cache": "memory",
        "jobs": "none",
        "kubernetes": False,
        "ci": "gitlab",
        "proxy": "nginx",
        "dependency_bot": "none",
    },
]


def test_the_files_are_those_the_answers_ask_for(render: Render, answers: Answers) -> None:
    everything = set().union(*(files(render(fullest)) for fullest in FULLEST))

    assert files(render(answers)) == expected_files(everything, answers)


def test_there_are_no_empty_folders(render: Render, answers: Answers) -> None:
    service = render(answers)

    assert not [path for path in service.rglob("*") if path.is_dir() and not any(path.iterdir())]


def test_nothing_is_left_of_the_template(render: Render, answers: Answers) -> None:
    for name, text in texts(render(answers)).items():
        # git-cliff's language is a sibling of Jinja.
        assert name == "cliff.toml" or not re.search(r"\{%|%\}|\{#|#\}", text), name
        assert name in BRACES or name.startswith(HELM) or "{{" not in text, name


def test_every_file_ends_with_one_newline(render: Render, answers: Answers) -> None:
    for name, text in texts(render(answers)).items():
        assert not text or re.search(r"\S\n\Z", text), name
        assert "\r" not in text, name
        assert not re.search(r"(?m)[ \t]+$", text), f"White space at the end of a line of {name}."
        # Two empty lines are Python's; elsewhere an answer left a hole.
        prose = re.sub(r"(?ms)^```python$.*?^```$", "…", text) if name.endswith(".md") else text
        assert name.endswith((".py", ".mako")) or "\n\n\n" not in prose, f"A hole in {name}."


def test_every_format_parses(render: Render, answers: Answers) -> None:
    for name, text in texts(render(answers)).items():
        match Path(name).suffix:
            case ".py":
                compile(text, name, "exec", dont_inherit=True)
            case ".toml":
                tomllib.loads(text)
            case ".yml" | ".yaml" if not name.startswith(HELM):
                yaml.safe_load(text)
            case ".json":
                json.loads(text)


def test_the_code_is_clean_as_rendered(render: Render, answers: Answers) -> None:
    assert_clean(render(answers))


def test_the_metadata_says_what_was_answered(render: Render, answers: Answers) -> None:
    service = render(answers)
    project = tomllib.loads((service / "pyproject.toml").read_text("utf-8"))["project"]
    licence = answers.get("license", "Proprietary")

    assert project["requires-python"].startswith(f">={answers.get('python_version', '3.11')},<")
    assert project["license"] == {"Proprietary": "LicenseRef-Proprietary"}.get(licence, licence)
    title = {
        "MIT": "MIT License",
        "Apache-2.0": "Apache License",
        "BSD-3-Clause": "BSD 3-Clause License",
        "Proprietary": "All rights reserved",
    }[licence]
    assert title in (service / "LICENSE").read_text("utf-8")


# The same macros write the text in both layouts, so each name needs to be seen in one.
HOSTILE = [
    pytest.param(
        {
            **dict.fromkeys(["project_name", "description", "author_name"], name),
            "layout": "layered" if number % 2 else "domain",
            "license": "MIT",
        },
        id=f"hostile-{number}",
        marks=pytest.mark.xdist_group(f"hostile {number}"),
    )
    for number, name in enumerate(HOSTILE_NAMES)
]


@pytest.mark.parametrize("answers", HOSTILE)
def test_a_hostile_name_gives_a_valid_package(render: Render, answers: Answers) -> None:
    stored = yaml.safe_load((render(answers) / ".copier-answers.yml").read_text("utf-8"))
    package = stored["package_name"]

    assert stored["project_name"] == answers["project_name"]
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", package)
    assert len(package) <= 24
    assert not keyword.iskeyword(package)
    assert package not in sys.stdlib_module_names


@pytest.mark.parametrize("answers", HOSTILE)
def test_free_text_arrives_intact(render: Render, answers: Answers) -> None:
    service, name = render(answers), answers["project_name"]
    package = yaml.safe_load((service / ".copier-answers.yml").read_text("utf-8"))["package_name"]

    project = tomllib.loads((service / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["description"] == name
    assert project["authors"][0]["name"] == name
    assert f" {name}\n" in (service / "LICENSE").read_text("utf-8")
    # Markdown wants a backslash before what would be markup.
    readme = (service / "README.md").read_text("utf-8")
    assert f"# {name}\n\n{name}\n" in re.sub(r"\\([!-/:-@[-`{-~])", r"\1", readme)
    about = ast.parse((service / "src" / package / "core" / "about.py").read_text("utf-8"))
    titles = [
        ast.literal_eval(node.value)
        for node in about.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TITLE"
    ]
    assert titles == [name]
    for path in files(service):
        if path.endswith((".yml", ".yaml")):
            yaml.safe_load((service / path).read_text("utf-8"))
    assert_clean(service)


@pytest.mark.parametrize("package", ["a", "a" * 24, "core", "items", "zz_top_9"])
@pytest.mark.parametrize("layout", ["domain", "layered"])
def test_formatting_does_not_depend_on_the_package_name(
    render: Render, package: str, layout: str
) -> None:
    assert_clean(render({**ALL_ON, "package_name": package, "layout": layout}))


def test_the_longest_text_is_formatted(render: Render) -> None:
    longest = {"project_name": "n" * 60, "description": "d" * 200, "author_name": "a" * 80}

    assert_clean(render(longest))


@pytest.mark.parametrize("database", ["postgresql", "none"])
def test_pytest_copie_renders_the_same(
    copie: Copie, template: Path, render: Render, database: str
) -> None:
    # Its answers are a user's defaults rather than data: another way in, the same way out.
    result = copie.copy(extra_answers={"database": database}, template_dir=template)

    assert result.project_dir, result.exception
    assert texts(result.project_dir) == texts(render({"database": database}))


def without(*parts: str, **answers: object) -> Answers:
    """Give the answers that have all parts but some."""
    return {
        "cache": "redis",
        "observability": choices("observability"),
        "parts": [part for part in choices("parts") if part not in parts],
        **answers,
    }


ON_KUBERNETES = {"kubernetes": True}

TRACES: dict[str, tuple[Answers, str]] = {
    "database=none": (
        {"database": "none"},
        r"sqlalchemy|alembic|asyncpg|aiosqlite|DATABASE_URL|postgres|backup",
    ),
    "database=sqlite": ({"database": "sqlite"}, r"pixeltable|local_postgres"),
    "auth=none": ({"auth": "none"}, r"\bjwt|argon2|X-API-Key|create-user|/auth/(refresh|logout)\b"),
    "cache=memory": ({"cache": "memory"}, r"redis|valkey"),
    "secrets=platform": ({"secrets": "platform"}, r"vault|boto|hvac|\baws\b"),
    "jobs=none": (
        {"cache": "redis", "observability": ["metrics", "tracing", "sentry"]},
        (
            r"outbox|background job|(?<!\()\bjobs\b(?![:)])|taskiq|celery|scheduler|dead.letter"
            r"|NOTIFICATIONS"
        ),
    ),
    "jobs=taskiq": ({"jobs": "taskiq"}, r"celery|kombu"),
    "jobs=celery": ({"jobs": "celery"}, r"taskiq"),
    "metrics": (
        {"jobs": "taskiq", "observability": ["tracing", "sentry"]},
        r"prometheus|grafana|/metrics|METRICS_PORT",
    ),
    "tracing": (
        {"jobs": "taskiq", "observability": ["metrics", "sentry"]},
        r"opentelemetry|otel|otlp|tracing|traceparent|trace_id|\bspans?\b|jaeger",
    ),
    "sentry": ({"jobs": "taskiq", "observability": ["metrics", "tracing"]}, r"sentry"),
    "observability": ({"jobs": "taskiq", "observability": []}, r"telemetry|sentry|prometheus"),
    "ci=github": ({"dependency_bot": "none"}, r"\.gitlab-ci|gitlab ci\b|\bCI_[A-Z]|merge request"),
    "ci=gitlab": (
        {"ci": "gitlab", "dependency_bot": "none"},
        r"\.github/|\bGITHUB_|github actions|pull request",
    ),
    "proxy=none": ({}, r"nginx|traefik|\bacme\b"),
    "proxy=nginx": ({"proxy": "nginx"}, r"traefik|\bacme\b"),
    "proxy=traefik": ({"proxy": "traefik"}, r"nginx"),
    "data_tools": ({}, r"polars|notebook|pandas|report-items"),
    "docs_site": ({"dependency_bot": "none"}, r"zensical|mkdocstrings|poe docs|site_pages"),
    "dependency_bot=none": ({"dependency_bot": "none"}, r"renovate|dependabot"),
    "dependency_bot=dependabot": ({"dependency_bot": "dependabot"}, r"renovate"),
    "dependency_bot=renovate": ({}, r"dependabot|template.update\b|update_from_template|scripts/"),
    "kubernetes": ({"cache": "redis", "jobs": "taskiq"}, r"\bhelm\b|kubectl|\bchart\b|\bpods?\b"),
    "codecov": ({}, r"codecov"),
    "rate_limits": (
        without("rate_limits", "api_keys", "audit_log", "http_client", auth="none"),
        r"rate.?limit|\blimits>=|\b429\b",
    ),
    "conditional_writes": (
        without("conditional_writes"),
        r"If-Match|if_match|\b412\b|conditional.?write|expected.?version",
    ),
    # A call to another service may have a key, too.
    "idempotency_keys": (without("idempotency_keys", "http_client"), r"idempoten"),
    "read_cache": (
        without("read_cache"),
        r"read.?cache|CACHE_SECONDS|cache_lookups|core[./]cache\b|item_cache|the cache\b",
    ),
    "http_client": (
        without("http_client"),
        r"stamina|circuit.?break|\bHTTP_(SECONDS|MAX|PROXY)|http_client|http-client|HttpClient|upstream",
    ),
    "api_keys": (without("api_keys"), r"X-API-Key|api.keys\b|ApiKey\w+"),
    "audit_log": (without("audit_log"), r"audit_events|AuditEvent|AuditLog|audit[ -]log"),
    "processes": (
        without("processes", **ON_KUBERNETES),
        r"(?-i:\bPROCESSES\b|Supervisor)|core[./]processes|docs/processes|ProcessSettings",
    ),
    "dashboards": (
        without("dashboards", **ON_KUBERNETES),
        r"dashboard|grafana|\balerts?\b|monitoring/|PrometheusRule|deploy/prometheus",
    ),
}
"""What each answer that leaves something out must leave no word of."""

ABOUT_MORE = (
    # The answers themselves are recorded, and the licence is not about the service.
    r"\.copier-answers\.yml|LICENSE|tests/contract/test_document\.py"
    # Headers, statuses and layers that any service of this kind may have.
    r"|src/\w+/core/http/(cors|middleware|problems)\.py"
    # FastAPI's own telemetry is switched off by its name.
    r"|src/\w+/core/http/application\.py"
    # Every service leaves the path of metrics out of its limits.
    r"|src/\w+/core/http/health\.py"
    # How another part is added later, and a check of everything that can be added.
    r"|docs/updates\.md|tests/test_wiring\.py"
)
"""Files that name more than what a service has."""


def code_of(text: str) -> str:
    """Return a module without its comments and docstrings."""
    module = ast.parse(text)
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [
                line
                for line in node.body
                if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
            ] or [ast.Pass()]
    return ast.unparse(module)


@pytest.mark.parametrize("answer", TRACES)
def test_what_is_left_out_leaves_no_trace(render: Render, answer: str) -> None:
    answers, words = TRACES[answer]

    for name, text in texts(render(answers)).items():
        if not re.fullmatch(ABOUT_MORE, name):
            # There is no Jinja in core/, so its comments may mention other parts.
            seen = code_of(text) if re.fullmatch(r"src/\w+/core/.*\.py", name) else text
            assert not re.search(words, seen, re.IGNORECASE), name
