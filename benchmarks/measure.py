"""Interleaved rounds, and what they come to."""

import json
import random
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from .routes import Route
from .services import Server, environment

WARM_UP_SECONDS = 1.0


@dataclass(frozen=True)
class Load:
    """The size of the load."""

    rounds: int
    seconds: float
    connections: int


@dataclass
class Figures:
    """What the rounds of one route have measured."""

    per_second: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)

    def typical(self) -> dict[str, float]:
        """Return the least CPU time, to which a busy machine can only add, and medians."""
        medians = {name: median(values) for name, values in self.__dict__.items()}
        return {**medians, "cpu_us": min(self.cpu_us)}


Results = dict[tuple[str, str], Figures]
"""By name of the service and of the route."""


def send(
    server: Server,
    route: Route,
    seconds: float,
    connections: int,
    allowed: Sequence[int] = (),
) -> dict[str, Any]:
    """Run the load once, and check that each response was the expected one."""
    plan = {
        **route.plan(),
        "port": server.port,
        "seconds": seconds,
        "connections": connections,
        "allowed": list(allowed),
        "start": random.randrange(len(route.values)),  # noqa: S311
    }
    done = subprocess.run(
        [server.python, Path(__file__).with_name("load.py")],
        env=environment({}),
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{server.name}: the load failed.\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    if result["wrong"]:
        sys.exit(f"{server.name}: {result['wrong']}")
    return result


def measure(
    routes: Mapping[str, Mapping[str, Route]], servers: Iterable[Server], load: Load
) -> Results:
    """Measure each route of each server in turn, round by round."""
    servers = list(servers)
    results: Results = {}
    names = list(dict.fromkeys(name for served in routes.values() for name in served))
    for number in range(load.rounds + 1):
        for name in names:
            random.shuffle(servers)
            for server in servers:
                if name not in routes[server.name]:
                    continue
                seconds = load.seconds if number else WARM_UP_SECONDS
                before = server.usage().cpu_seconds
                sent = send(server, routes[server.name][name], seconds, load.connections)
                spent = server.usage().cpu_seconds - before
                if not number:
                    continue
                took = sent["milliseconds"]
                figures = results.setdefault((server.name, name), Figures())
                figures.per_second.append(len(took) / sent["seconds"])
                figures.cpu_us.append(1e6 * spent / len(took))
                figures.p50_ms.append(took[len(took) // 2])
                figures.p99_ms.append(took[int(len(took) * 0.99)])
        print(f"round {number} of {load.rounds}", file=sys.stderr)
    return results


def lifecycle(
    routes: Mapping[str, Mapping[str, Route]],
    servers: Iterable[Server],
    load: Load,
    requests: int,
) -> dict[str, dict[str, float]]:
    """Restart each server in turn; measure its start, and its memory before and after requests."""
    servers = list(servers)
    starts: dict[str, list[float]] = {server.name: [] for server in servers}
    for _ in range(load.rounds):
        random.shuffle(servers)
        for server in servers:
            server.stop()
            starts[server.name].append(server.start())
    found = {}
    for server in servers:
        before, sent = server.usage().megabytes, 0
        route = routes[server.name].get("item") or routes[server.name]["liveness"]
        while sent < requests:
            sent += len(send(server, route, 5, load.connections)["milliseconds"])
        memory = {"mb_after_start": before, "mb_after_requests": server.usage().megabytes}
        found[server.name] = {"start_seconds": median(starts[server.name]), **memory}
    return found
