"""The image: what is in it, what is not, and how it runs and ends."""

import json
import re
import subprocess
import tarfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.answers import Answers, choices
from tests.delivery.engine import BASE, provide_image
from tests.delivery.project import Client, Project
from tests.receivers import wait_for

MakeProject = Callable[[str, Answers], Project]

PLANTED = "planted-secret-5c1d"

VARIANTS: dict[str, Answers] = {
    "bare": {
        "database": "none",
        "observability": [],
        "license": "MIT",
        "description": 'It costs $5, "now" \\ later',
    },
    "full": {
        "cache": "redis",
        "jobs": "celery",
        "observability": choices("observability"),
        "parts": choices("parts"),
    },
}

OPTIONS = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp"]

# It sends a request's head and half of its body, and the rest when it is told to.
SLOW_CLIENT = r"""
import socket, sys
body = b'{"name": "Lamp", "price_cents": 4900}'
connection = socket.create_connection(("service", 8000))
head = "POST /api/v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:10])
print("half sent", flush=True)
sys.stdin.readline()
connection.sendall(body[10:])
print(connection.recv(65536).split(b"\r\n")[0].decode(), flush=True)
"""


@pytest.fixture(scope="module")
def bare(make_project: MakeProject) -> Project:
    """The variant that needs nothing beside it."""
    return built(make_project("bare", VARIANTS["bare"]))


@pytest.fixture(scope="module")
def full(make_project: MakeProject) -> Project:
    """The variant with the most dependencies."""
    return built(make_project("full", VARIANTS["full"]))


@pytest.fixture(params=list(VARIANTS))
def project(request: pytest.FixtureRequest) -> Project:
    """Each of them."""
    project: Project = request.getfixturevalue(request.param)
    return project


def built(project: Project) -> Project:
    """Build an image beside everything that must not get into it."""
    package = next(project.folder.glob("src/*"))
    for name in (".env", "secrets/jwt_secret", ".git/config", "tests/left.py", "notes.txt"):
        plant(project.folder / name)
    for name in (".env", "__pycache__/main.cpython-314.pyc"):
        plant(package / name)
    project.build(VERSION="1.2.3", REVISION="abcdef")
    return project


def plant(path: Path) -> None:
    """Write something that must not be found elsewhere."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(PLANTED, "utf-8")


def test_it_is_described(project: Project) -> None:
    config = project.inspect()["Config"]
    pyproject = tomllib.loads((project.folder / "pyproject.toml").read_text("utf-8"))["project"]
    labels = config["Labels"]

    assert labels["org.opencontainers.image.title"] == pyproject["name"]
    assert labels["org.opencontainers.image.description"] == pyproject["description"]
    assert labels["org.opencontainers.image.licenses"] == pyproject["license"]
    assert labels["org.opencontainers.image.version"] == "1.2.3"
    assert labels["org.opencontainers.image.revision"] == "abcdef"
    assert config["User"] == "10001:10001"
    # In brackets, so that no shell is process 1 and keeps the signals to itself.
    assert config["Entrypoint"] == [pyproject["name"]]
    assert config["Cmd"] == ["serve"]
    assert config["Healthcheck"]["Test"][0] == "CMD"


def test_nothing_is_in_it_that_does_not_belong_there(project: Project) -> None:
    container = project.run("docker", "create", project.image).strip()
    archive = project.folder / "image.tar"
    project.run("docker", "export", "--output", archive, container)
    project.run("docker", "rm", container)

    with tarfile.open(archive) as files:
        members = files.getmembers()
        own = [member for member in members if member.name.startswith("opt/venv/")]
        planted = [
            member.name
            for member in members
            if member.isreg()
            and (file := files.extractfile(member))
            and PLANTED.encode() in file.read()
        ]
    archive.unlink()
    names = {member.name for member in members}

    assert planted == []
    assert not [name for name in names if re.search(r"(^|/)(\.git|\.env|uv\.lock)$", name)]
    assert not [name for name in names if re.search(r"bin/(uv|curl|gcc|git)$", name)]
    assert not [name for name in names if name.startswith(("root/.cache/", "build/", "tests/"))]
    # Nor is the package that only development needs.
    assert [name for name in names if name.endswith("/order_service/main.py")]
    assert not [name for name in names if "order_service_dev" in name]
    # Its own code is root's, and nobody else may change it.
    assert own
    assert not [one.name for one in own if one.uid or (not one.issym() and one.mode & 0o022)]
    history = project.run("docker", "history", "--no-trunc", project.image)
    assert PLANTED not in history


def test_it_has_what_the_service_needs_and_no_tool(project: Project) -> None:
    script = "import importlib.metadata as m; print(*[d.name.lower() for d in m.distributions()])"
    run = ["docker", "run", "--rm", "--entrypoint=python", project.image, "-c", script]
    installed = set(project.run(*run).replace("_", "-").split())
    document = tomllib.loads((project.folder / "pyproject.toml").read_text("utf-8"))

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}

    # What is for development alone is in neither list.
    export = ["uv", "export", "--locked", "--quiet", "--no-dev", "--no-emit-project"]
    locked = names(project.run(*export, "--no-hashes", "--no-annotate", "--no-header").split("\n"))
    assert names(document["project"]["dependencies"]) <= installed
    assert installed <= locked | {document["project"]["name"]}


def test_it_adds_little_to_its_base(project: Project) -> None:
    (base,) = json.loads(project.run("docker", "image", "inspect", BASE))

    megabytes = (project.inspect()["Size"] - base["Size"]) / 1e6

    assert megabytes < (110 if "bare" in project.name else 175), megabytes


def test_a_change_of_the_service_is_one_small_layer(bare: Project) -> None:
    def layers() -> list[str]:
        found: list[str] = bare.inspect()["RootFS"]["Layers"]
        return found

    before = layers()
    main = next(bare.folder.glob("src/*/main.py"))
    text = main.read_text("utf-8")
    try:
        main.write_text(f"{text}\n# Changed.\n", "utf-8")
        bare.build(VERSION="1.2.4", REVISION="fedcba")
        after = layers()
        history = bare.run("docker", "history", "--human=false", "--format={{.Size}}", bare.image)
    finally:
        main.write_text(text, "utf-8")
        bare.build(VERSION="1.2.3", REVISION="abcdef")

    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]
    newest = next(int(size) for size in history.split() if int(size))
    assert newest < 5e6


@contextmanager
def running(project: Project) -> Iterator[str]:
    """Run a service's container as strictly as it can be run, in a network of its own."""
    network = f"{project.name}_default"
    project.run("docker", "network", "create", network)
    options = [*OPTIONS, f"--network={network}", "--network-alias=service"]
    container = project.run("docker", "run", "--detach", *options, project.image).strip()
    try:
        yield container
    finally:
        project.run("docker", "rm", "--force", container)
        project.run("docker", "network", "rm", network)


def state(project: Project, container: str) -> dict[str, object]:
    """Ask how a container is."""
    (found,) = json.loads(project.run("docker", "inspect", container))
    asked: dict[str, object] = found["State"]
    return asked


def is_healthy(project: Project, container: str) -> bool:
    """Say whether the image's own check has succeeded."""
    health = state(project, container)["Health"]
    assert isinstance(health, dict)
    return bool(health["Status"] == "healthy")


def test_it_runs_without_any_right_and_finishes_what_it_has_begun(bare: Project) -> None:
    with running(bare) as container:
        wait_for(lambda: is_healthy(bare, container), "healthy container")
        with bare.client() as client:
            assert_serves(client)
        command = ["docker", "run", "--rm", "--interactive", f"--network={bare.name}_default"]
        with subprocess.Popen(
            [*command, "--entrypoint=python", bare.image, "-c", SLOW_CLIENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as slow:
            assert slow.stdin is not None
            assert slow.stdout is not None
            assert slow.stdout.readline() == "half sent\n"

            bare.run("docker", "kill", "--signal=TERM", container)
            wait_for(lambda: "Shutting down" in bare.run("docker", "logs", container), "stop")
            # It takes no more, and has not ended either.
            assert state(bare, container)["Running"]
            slow.stdin.write("\n")
            slow.stdin.flush()

            assert slow.stdout.readline().startswith("HTTP/1.1 201 ")
        wait_for(lambda: not state(bare, container)["Running"], "end", 20)
        assert state(bare, container)["ExitCode"] == 0


def assert_serves(client: Client) -> None:
    """Make something and find it."""
    made = client.ask("POST", "/api/v1/items", '{"name": "Lamp", "price_cents": 4900}')
    assert made.status == 201
    assert client.ask("GET", f"/api/v1/items/{made.json()['id']}").json()["name"] == "Lamp"


def test_unusable_settings_end_it_with_a_sentence(bare: Project) -> None:
    printed = bare.run("docker", "run", "--rm", "--env=PORT=none", bare.image, status=2)

    assert "PORT: " in printed


def test_the_health_check_sees_what_is_wrong(bare: Project) -> None:
    check = bare.inspect()["Config"]["Healthcheck"]["Test"][1:]

    # Nothing serves in this container.
    bare.run("docker", "run", "--rm", f"--entrypoint={check[0]}", bare.image, *check[1:], status=1)


def test_another_python_is_one_argument(bare: Project) -> None:
    provide_image("python:3.13-slim-trixie")
    image = f"{bare.image}-older"
    bare.run("docker", "build", "--build-arg=PYTHON_VERSION=3.13", "--tag", image, ".")

    printed = bare.run("docker", "run", "--rm", "--entrypoint=python", image, "--version")
    bare.run("docker", "run", "--rm", image, "check-config")

    assert printed.startswith("Python 3.13.")
    bare.run("docker", "image", "rm", image)


def test_it_is_built_from_the_lock_and_nothing_else(bare: Project) -> None:
    lock = bare.folder / "uv.lock"
    pyproject = bare.folder / "pyproject.toml"
    locked, declared = lock.read_text("utf-8"), pyproject.read_text("utf-8")
    try:
        pyproject.write_text(declared.replace('"anyio>=4.16"', '"anyio>=4.15"'), "utf-8")
        stale = bare.run("docker", "build", "--progress=plain", ".", status=1)
        pyproject.write_text(declared, "utf-8")
        lock.unlink()
        missing = bare.run("docker", "build", "--progress=plain", ".", status=1)
    finally:
        pyproject.write_text(declared, "utf-8")
        lock.write_text(locked, "utf-8")

    assert "uv.lock` needs to be updated" in stale
    assert "There is no uv.lock: run 'uv lock' and commit the file." in missing
