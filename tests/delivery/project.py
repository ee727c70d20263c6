"""A rendered service: its image, its containers, and how to talk to them."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.commands import run
from tests.receivers import free_port

# Published ports may be in another network namespace than these tests, and even on
# another machine. So requests are sent from inside: by this script, in a container that
# is in the network of the one that is asked.
CLIENT = r"""
import http.client, json, ssl, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["scheme"] == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if asked["tls"]:
            context.minimum_version = context.maximum_version = ssl.TLSVersion[asked["tls"]]
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
        connection = http.client.HTTPSConnection(
            asked["host"], asked["port"], context=context, timeout=30
        )
    else:
        connection = http.client.HTTPConnection(asked["host"], asked["port"], timeout=30)
    try:
        body = asked["body"].encode() if asked["body"] is not None else None
        connection.request(asked["method"], asked["path"], body, asked["headers"])
        response = connection.getresponse()
        answer = {
            "status": response.status,
            "headers": {name.lower(): value for name, value in response.getheaders()},
            "text": response.read().decode(),
        }
    except (OSError, http.client.HTTPException) as error:
        answer = {"status": 0, "headers": {}, "text": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
"""


class Answer(NamedTuple):
    """What came back; the status is 0 where nothing did."""

    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:  # noqa: ANN401 - It is whatever the service says.
        """Read the content."""
        return json.loads(self.text)


class Client:
    """Sends requests from a container that runs beside the others."""

    def __init__(self, process: subprocess.Popen[str], host: str, scheme: str, port: int) -> None:
        self._process = process
        self._where = {"host": host, "scheme": scheme, "port": port}

    def ask(
        self,
        method: str,
        path: str,
        body: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        tls: str | None = None,
        **where: str | int,
    ) -> Answer:
        """Send one request, and wait for its answer."""
        request = {
            **self._where,
            **where,
            "method": method,
            "path": path,
            "body": body,
            "tls": tls,
            "headers": {"Host": "localhost", "Content-Type": "application/json", **(headers or {})},
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "The container that sends the requests has ended."
        return Answer(**json.loads(line))


class Project:
    """A rendered service on the engine, under a name that nothing else there has."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        self.name = f"{name}-{secrets.token_hex(3)}"
        self.image = f"{self.name}:test"
        net = secrets.randbelow(256)
        self.environment = {
            "COMPOSE_PROJECT_NAME": self.name,
            "IMAGE": self.image,
            # Of the ports that would be published, none may be taken.
            **{
                f"{port}_PORT": str(free_port())
                for port in ("PUBLISHED", "HTTP", "HTTPS", "PROMETHEUS", "GRAFANA", "JAEGER")
            },
            "PROXY_NETWORK": f"10.213.{net}.{8 * secrets.randbelow(31)}/29",
        }
        self.files: list[str] = []

    def run(self, *command: str | Path, status: int = 0, **more: str) -> str:
        """Run a command in the service's folder, with further variables."""
        environment = {**self.environment, **more}
        return run(*command, cwd=self.folder, environment=environment, status=status, timeout=300)

    def compose(self, *arguments: str, **more: str) -> str:
        """Run `docker compose` with the project's files."""
        files = [part for file in self.files for part in ("--file", file)]
        return self.run("docker", "compose", *files, *arguments, status=0, **more)

    def up(self, *options: str, **more: str) -> None:
        """Start containers and wait until they are healthy; on failure, show their logs."""
        try:
            self.compose("up", "--detach", "--wait", *options, **more)
        except AssertionError as error:
            error.add_note(self.logs())
            raise

    def compose_file(self) -> dict[str, Any]:
        """Read compose.yaml as Compose understands it, all profiles included."""
        text = self.compose("--profile", "*", "config", "--format", "json")
        document: dict[str, Any] = json.loads(text)
        return document

    def foreign_images(self) -> dict[str, str]:
        """Name the image of each service that is not the service's own."""
        services = self.compose_file()["services"]
        return {
            name: service["image"]
            for name, service in services.items()
            if service["image"] != self.image
        }

    def build(self, **arguments: str) -> str:
        """Build the image, and return what was printed."""
        options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        return self.run("docker", "build", "--progress=plain", *options, "--tag", self.image, ".")

    def inspect(self) -> dict[str, Any]:
        """Look into the image."""
        (image,) = json.loads(self.run("docker", "image", "inspect", self.image))
        found: dict[str, Any] = image
        return found

    def containers(self) -> dict[str, dict[str, Any]]:
        """Look into the containers, by the names of their services."""
        ids = self.compose("ps", "--all", "--quiet").split()
        found = json.loads(self.run("docker", "inspect", *ids))
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in found}

    def logs(self, *services: str) -> str:
        """Read what containers have printed."""
        return self.compose("logs", "--no-color", "--tail=200", *services)

    @contextmanager
    def client(
        self,
        network: str = "default",
        host: str = "service",
        scheme: str = "http",
        port: int = 8000,
    ) -> Iterator[Client]:
        """Send requests from a container in one of the project's networks."""
        command = ["docker", "run", "--rm", "--interactive", f"--network={self.name}_{network}"]
        with subprocess.Popen(
            [*command, "--entrypoint=python", self.image, "-c", CLIENT],
            env=os.environ | self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield Client(process, host, scheme, port)
            finally:
                assert process.stdin is not None
                process.stdin.close()
                process.wait(30)

    def secrets(self) -> dict[str, str]:
        """Read the project's secrets."""
        return {
            path.name: path.read_text("utf-8").strip() for path in self.folder.glob("secrets/*")
        }

    def remove(self) -> None:
        """Leave nothing behind."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout=1")
        subprocess.run(
            ["docker", "image", "rm", "--force", self.image], capture_output=True, check=False
        )
