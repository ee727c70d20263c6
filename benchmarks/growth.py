"""What changes with rows, processes and more clients than the service can serve."""

import base64
import json
import os
from concurrent.futures import ThreadPoolExecutor

from .bench import Bench, Variant
from .measure import Load, measure, send
from .routes import ITEMS, get_route
from .tables import markdown

SIZES = (1_000, 10_000, 100_000, 1_000_000)
PAGES = {"first page": 0.0, "middle page": 0.5, "last page": 1.0}
POSITION = """
SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), id FROM items
ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET {offset}
"""
CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


def rows(bench: Bench, load: Load) -> str:
    """Measure list pages of services whose tables differ in size."""
    names = {size: f"{size:,} rows" for size in SIZES}
    for size, name in names.items():
        data = bench.add_service(name, Variant(), rows=size)
        routes = {}
        for page, place in PAGES.items():
            path = f"{ITEMS}?limit=50"
            if place:
                offset = int(place * (size - 50))
                found = bench.postgres[name](sql=POSITION.format(offset=offset))[0]
                cursor = base64.urlsafe_b64encode(json.dumps(found).encode()).decode()
                path += f"&cursor={cursor.rstrip('=')}"
            routes[page] = get_route(bench.servers[name], path, data.reader)
            assert len(json.loads(routes[page].expected)["items"]) == 50, page
        bench.routes[name] = routes
    results = measure(bench.routes, [bench.servers[name] for name in names.values()], load)
    base = results[names[SIZES[0]], "first page"].typical()["cpu_us"]
    cells = {
        name: [f"{results[name, page].typical()['cpu_us'] / base:.2f}" for page in PAGES]
        for name in names.values()
    }
    lines = ([name, *line] for name, line in cells.items())
    return markdown(["CPU per request", *PAGES], lines)


def processes(bench: Bench, load: Load) -> str:
    """Measure one, two and four processes, which are not pinned to a core."""
    names = {number: f"{number} process{'es' if number > 1 else ''}" for number in (1, 2, 4)}
    for number, name in names.items():
        variant = Variant({"parts": ["+processes"]}, {"PROCESSES": str(number)}, is_pinned=False)
        bench.add_service(name, variant)
        bench.routes[name] = {route: bench.routes[name][route] for route in ("liveness", "item")}
    results = measure(bench.routes, [bench.servers[name] for name in names.values()], load)
    lines = []
    for name in names.values():
        cells = [name]
        for route in ("liveness", "item"):
            own, one = results[name, route].typical(), results[names[1], route].typical()
            cells.append(f"{own['per_second'] / one['per_second']:.2f}")
        lines.append(cells)
    cores = len(os.sched_getaffinity(0) | (bench.machine.server or set()))
    return markdown([f"requests/s, {cores} cores", "liveness", "item"], lines)


def burst(bench: Bench, load: Load) -> str:
    """Send ten times as many requests at once as the pool has connections."""
    name, limit = "burst", 20
    settings = {"DATABASE_POOL_SIZE": str(limit), "DATABASE_MAX_OVERFLOW": "0"}
    bench.add_service(name, Variant({}, settings))
    server, route = bench.servers[name], bench.routes[name]["item"]
    lines = []
    for times in (1, 10):
        opened = 0
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send, server, route, load.seconds, times * limit, [503])
            while not sending.done():
                opened = max(opened, int(bench.postgres[name](sql=CONNECTIONS)[0][0]))
        sent = sending.result()
        took = sent["milliseconds"]
        lines.append(
            [
                f"{times * limit} clients",
                f"{sent['statuses'].get('200', 0):,}",
                f"{sent['statuses'].get('503', 0):,}",
                f"{took[int(len(took) * 0.99)]:,.0f}",
                f"{took[-1]:,.0f}",
                f"{opened} of {limit}",
            ]
        )
    header = ["burst", "200", "503", "p99 ms", "longest ms", "connections"]
    return markdown(header, lines)
