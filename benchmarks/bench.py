"""The services of one run: built from their answers, started, with data."""

import json
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .routes import ROWS, Data, Route, routes_of, store
from .services import (
    SECRET,
    Answers,
    Machine,
    Postgres,
    Server,
    answers_of,
    open_postgres,
    open_redis,
    render,
)

BASELINES = {"liveness": "bare", "*": "one_file"}
"""The baseline of each route."""


@dataclass(frozen=True)
class Variant:
    """A service to measure."""

    answers: Answers = field(default_factory=dict)
    """A part with a + or a - is added to those of the default, or left out."""

    settings: Mapping[str, str] = field(default_factory=dict)
    revision: str = "HEAD"
    is_pinned: bool = True


class Sink(BaseHTTPRequestHandler):
    """Accepts traces and error reports, and forgets them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read the body and respond 200."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""


class Bench:
    """Builds services, starts servers and stops them at the end."""

    def __init__(self, stack: ExitStack, work: Path, python: str | None) -> None:
        """Build the default service, whose environment has what the benchmarks need."""
        self.machine = Machine()
        self.stack, self.work, self.python = stack, work, python
        self.servers: dict[str, Server] = {}
        self.routes: dict[str, dict[str, Route]] = {}
        self.postgres: dict[str, Postgres] = {}
        self._built: dict[str, Path] = {}
        self.default = self.build(Variant())
        self.parts: list[str] = answers_of(self.default)["parts"]
        sink = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        self.sink = f"127.0.0.1:{sink.server_port}"

    def build(self, variant: Variant) -> Path:
        """Render a service and install it, once."""
        answers = {"project_name": "Order Service", **variant.answers}
        parts = answers.get("parts", [])
        if isinstance(parts, list) and any(part[0] in "+-" for part in parts):
            changed = {part[1:] for part in parts}
            kept = [part for part in self.parts if part not in changed]
            answers["parts"] = kept + [part[1:] for part in parts if part[0] == "+"]
        key = json.dumps([answers, variant.revision], sort_keys=True)
        if key not in self._built:
            folder = self.work / str(len(self._built))
            print(f"building {key}", file=sys.stderr)
            self._built[key] = render(folder, answers, variant.revision, self.python)
        return self._built[key]

    def add_service(self, name: str, variant: Variant, rows: int = ROWS) -> Data:
        """Build and start a service, and store data in it."""
        folder = self.build(variant)
        answers = answers_of(folder)
        database = folder / "benchmark.db"
        database.unlink(missing_ok=True)
        settings = {
            "ENVIRONMENT": "production",
            "JWT_SECRET": SECRET,
            "ACCESS_TOKEN_MINUTES": "1000",
            # The limiter runs, and refuses none.
            "RATE_LIMIT_DEFAULT": "1000000/second",
            "DATABASE_URL": f"sqlite:///{database}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{self.sink}",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.1",
            "SENTRY_DSN": f"http://key@{self.sink}/1",
        }
        postgres = None
        if answers["database"] == "postgresql":
            postgres = self.stack.enter_context(open_postgres(self.default))
            self.postgres[name] = postgres
            settings["DATABASE_URL"] = postgres.url
        if answers["cache"] == "redis":
            settings["REDIS_URL"] = self.stack.enter_context(open_redis(folder))
        command = [str(folder / ".venv/bin/order-service"), "serve"]
        python = folder / ".venv/bin/python"
        settings |= variant.settings
        server = Server(name, command, settings, python, folder, self.machine, variant.is_pinned)
        if answers["database"] != "none":
            server.run_once("migrate")
        self.start(server)
        data = store(server, postgres, rows)
        is_cached = "read_cache" in answers["parts"]
        self.routes[name] = routes_of(server, data, is_cached=is_cached)
        return data

    def add_baselines(self, data: Data) -> None:
        """Start the baselines, on the database of the default service."""
        settings = self.servers["default"].environment
        python = self.default / ".venv/bin/python"
        for name in dict.fromkeys(BASELINES.values()):
            command = [str(python), "-m", "uvicorn", f"benchmarks.baselines.{name}:app"]
            command += ["--no-access-log", "--log-level", "warning"]
            server = Server(name, command, settings, python, self.default, self.machine)
            self.start(server)
            self.routes[name] = routes_of(server, data, is_cached=False)
        default, same = self.routes["default"], self.routes["one_file"]
        for route in ("item", "list of 50", "users/me"):
            assert same[route].expected == default[route].expected, f"{route} differs"
        assert self.routes["bare"]["liveness"].expected == default["liveness"].expected
        # Its baseline is the other one.
        del same["liveness"]

    def start(self, server: Server) -> None:
        """Start a server, and stop it at the end."""
        self.stack.callback(server.stop)
        server.start()
        self.servers[server.name] = server
