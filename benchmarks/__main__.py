"""Measures services rendered from this repository: `uv run python -m benchmarks`."""

import argparse
import json
import signal
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import yaml

from . import growth, tables
from .bench import BASELINES, Bench, Variant
from .measure import Load, Results, lifecycle, measure
from .peers import add_peer

HERE = Path(__file__).parent
PLOTS = HERE.parent / "docs/benchmarks"
OBSERVED = ["metrics", "tracing", "sentry"]

VARIANTS = {
    "default": Variant(),
    "read_cache": Variant({"parts": ["+read_cache"]}),
    "redis": Variant({"parts": ["+read_cache"], "cache": "redis"}),
    "redis-observed": Variant(
        {"parts": ["+read_cache"], "cache": "redis", "observability": OBSERVED}
    ),
}

PARTS = {
    "without rate_limits and users": Variant({"parts": ["-rate_limits"], "auth": "none"}),
    "without metrics": Variant({"observability": []}),
    **{
        f"with {part}": Variant({"parts": [f"+{part}"]})
        for part in (
            "conditional_writes",
            "idempotency_keys",
            "read_cache",
            "http_client",
            "api_keys",
            "audit_log",
            "processes",
        )
    },
    "with redis": Variant({"cache": "redis"}),
    "with tracing, 10 % sampled": Variant({"observability": ["metrics", "tracing"]}),
    "with sentry": Variant({"observability": ["metrics", "sentry"]}),
}
"""One change of the default each."""


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    names = ", ".join(VARIANTS)
    add("services", nargs="*", help=f"further services: {names}; name@revision is an earlier one")
    add("--answers", nargs="+", default=[], metavar="KEY=VALUE", help="a service of these answers")
    add("--routes", nargs="+", help="these routes only, such as liveness item")
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=3, help="of each measurement")
    add("--connections", type=int, default=32)
    add("--python", help="the Python of all services, as uv takes it")
    add("--start", action="store_true", help="also measure starts and memory")
    add("--requests", type=int, default=100_000, help="before memory is measured again")
    add("--parts", action="store_true", help="measure the cost of each part instead")
    add("--growth", action="store_true", help="measure rows, processes and bursts instead")
    add("--peers", nargs="+", type=Path, default=[], help="clones of other templates")
    add("--plots", action="store_true", help=f"write plots to {PLOTS.relative_to(HERE.parent)}")
    work = Path(tempfile.gettempdir()) / "groundplan-benchmarks"
    add("--work", type=Path, default=work, help="folder of the rendered services")
    return parser.parse_args()


def chosen_variants(options: argparse.Namespace) -> dict[str, Variant]:
    """Return the services to measure, the default first."""
    chosen = {"default": VARIANTS["default"]}
    for name in options.services:
        base, _, revision = name.partition("@")
        variant = VARIANTS[base]
        chosen[name] = Variant(variant.answers, revision=revision or "HEAD")
    if options.answers:
        pairs = (pair.partition("=") for pair in options.answers)
        chosen["answers"] = Variant({name: yaml.safe_load(text) for name, _, text in pairs})
    return chosen


def report(options: argparse.Namespace, bench: Bench, load: Load) -> dict[str, object]:
    """Print the comparison with the baselines, and return everything that was measured."""
    chosen = chosen_variants(options)
    for name, variant in chosen.items():
        data = bench.add_service(name, variant)
        if name == "default":
            bench.add_baselines(data)
    peers = [add_peer(bench, clone) for clone in options.peers]
    if options.routes:
        for routes in bench.routes.values():
            for name in set(routes) - set(options.routes):
                del routes[name]
    results = measure(bench.routes, bench.servers.values(), load)
    rows = tables.compare(results, ["bare", "one_file", *chosen, *peers], BASELINES)
    print(tables.comparison(rows))
    if options.plots:
        ratios = {f"{one.service}, {one.route}": one.cpu_ratio for one in rows if one.cpu_ratio}
        plot = tables.bars("Times the baseline's speed, by CPU time per request", ratios)
        PLOTS.mkdir(exist_ok=True)
        (PLOTS / "ratios.svg").write_text(plot, "utf-8")
    found: dict[str, object] = {"routes": raw(results)}
    if options.start:
        lives = lifecycle(bench.routes, bench.servers.values(), load, options.requests)
        print(f"\n{tables.starts(lives)}")
        found["starts"] = lives
    return found


def report_parts(bench: Bench, load: Load) -> dict[str, object]:
    """Print the cost of each part."""
    for name, variant in {"default": Variant(), **PARTS}.items():
        bench.add_service(name, variant)
    routes = ["liveness", "item", "create"]
    for name, served in bench.routes.items():
        bench.routes[name] = {route: served[route] for route in routes}
    results = measure(bench.routes, bench.servers.values(), load)
    print(tables.costs(results, PARTS, routes, "default"))
    return {"routes": raw(results)}


def raw(results: Results) -> list[dict[str, object]]:
    """Return every round of every figure."""
    return [{"service": a, "route": b, **found.__dict__} for (a, b), found in results.items()]


def main() -> None:
    """Measure, print tables, keep the raw results."""
    options = parse()
    load = Load(options.rounds, options.seconds, options.connections)
    # Every server is stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("The run was stopped."))
    with ExitStack() as stack:
        bench = Bench(stack, options.work, options.python)
        if options.parts:
            found = report_parts(bench, load)
        elif options.growth:
            found = {}
            for part in (growth.rows, growth.processes, growth.burst):
                found[part.__name__] = part(bench, load)
                print(f"{found[part.__name__]}\n")
        else:
            found = report(options, bench, load)
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    file = results / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    file.write_text(json.dumps({"command": sys.argv, **found}, indent=1))


if __name__ == "__main__":
    main()
