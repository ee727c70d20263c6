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

from tests.answers import ALL_ON, EACH_VARIANT, Answers
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
    r"src/\w+/(api_keys|audit|auth|users)/.*"
    r"|src/\w+/core/(local_secret|login_guard|passwords|signing_keys|tokens)\.py"
    r"|src/\w+/migrations/versions/\d+_(users|authorization)\.py"
    r"|tests/.*(audit|auth|keys|login|people|roles|tables|users|owners|passwords|tokens|workers).*"
)
WITHOUT_DATABASE = (
    r"src/\w+/(migrations/.*|core/(database\w*|idempotency|local_database|local_postgres|models)\.py)"
    r"|src/\w+/core/cache(_memory|_redis|_metrics)?\.py|src/\w+/core/pool_metrics\.py"
    r"|tests/.*(database|idempotency|migrations|postgres|queries|transactions|two_processes).*"
    r"|tests/.*/test_(cache|pool).*|deploy/(backup|restore)\.sh"
)
WITHOUT_REDIS = r".*_redis(_url)?\.py|.*/redis_(client|spans)\.py|tests/.*redis.*"
WITHOUT_MEMORY = r"src/\w+/core/cache_memory\.py|tests/unit/test_cache_memory\.py"
WITHOUT_MANAGER = r".*secrets_{}\.py"
WITHOUT_JOBS = (
    r"src/\w+/(core/outbox|worker)/.*|src/\w+/core/(job_\w+|reloading)\.py"
    r"|src/\w+/users/(jobs|messages)\.py|src/\w+/migrations/versions/\d+_outbox\.py"
    r"|tests/.*(jobs?|outbox|workers|working)(_.*)?\.py"
    r"|chart/templates/(worker|scheduler)\.yaml"
)
WITHOUT_ENGINE = r"(src|tests)/.*{}_engine\.py"
WITHOUT_METRICS = (
    r"src/\w+/core/(\w+_)?metrics\.py|monitoring/.*|tests/.*(metrics|monitoring|numbers)\.py"
    r"|chart/templates/metrics\.yaml|deploy/(grafana|prometheus).*"
)
WITHOUT_TRACING = (
    r"src/\w+/core/(tracing|trace_(export|ids)|span_scrubbing|\w+_spans|job_tracing)\.py"
    r"|tests/.*(tracing|spans).*|deploy/collector\.yaml"
)
WITHOUT_SENTRY = r"src/\w+/core/(error|job)_reports\.py|tests/(.*error_reports.*|reports\.py)"
WITHOUT_EXPORTS = r"src/\w+/core/(ending|redaction)\.py|tests/unit/test_redaction\.py"
WITHOUT_TELEMETRY = r"src/\w+/core/telemetry\.py"
WITHOUT_DATA_TOOLS = (
    r"src/\w+/(items/(commands|report)|core/frames)\.py|notebooks/.*"
    r"|tests/.*(test_report|notebook).*"
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
WITHOUT_POSTGRESQL = (
    r"src/\w+/core/local_postgres\.py|tests/.*(local_postgres|transaction_pooling).*"
)
WITHOUT_SQLITE = r"tests/integration/test_sqlite\.py"


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


def left_out(answers: Answers) -> list[str]:
    """Name, as patterns, the files that a service with these answers lacks."""
    watched = answers.get("observability", ["metrics"])
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
        WITHOUT_TELEMETRY: not watched,
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
        and "metrics" not in watched,
    }
    patterns = [pattern for pattern, is_lacking in lacks.items() if is_lacking]
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
        assert name.endswith((".py", ".mako")) or "\n\n\n" not in text, f"A hole in {name}."


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
        r"outbox|background job|\bjobs\b(?!:)|taskiq|celery|scheduler|NOTIFICATIONS|dead.letter",
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
}
"""What each answer that leaves something out must leave no word of."""


@pytest.mark.parametrize("answer", TRACES)
def test_what_is_left_out_leaves_no_trace(render: Render, answer: str) -> None:
    answers, words = TRACES[answer]

    for name, text in texts(render(answers)).items():
        # The answers themselves are recorded, and the licence is not about the service.
        if name not in {".copier-answers.yml", "LICENSE", "tests/contract/test_document.py"}:
            assert not re.search(words, text, re.IGNORECASE), name
