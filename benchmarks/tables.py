"""The results as tables in Markdown and as plots."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from .measure import Results

UNCACHED = {"item, cached": "item", "item, 304": "item"}
"""Routes that a baseline lacks, and the one that does the same work there."""


class Row(NamedTuple):
    """One route of one service: its figures, and how many times the baseline's speed it has."""

    service: str
    route: str
    figures: dict[str, float]
    cpu_ratio: float | None
    rate_ratio: float | None
    default_ratio: float | None
    """That of CPU time, compared with the default service instead."""


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is text, and the others numbers."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def compare(results: Results, services: Iterable[str], baselines: Mapping[str, str]) -> list[Row]:
    """Compare each route with the same one of its baseline; more than 1 is faster."""
    rows = []
    for service in services:
        for (name, route), figures in results.items():
            if name != service:
                continue
            own = figures.typical()
            base = baselines.get(route, baselines["*"])
            found = results.get((base, route)) or results.get((base, UNCACHED.get(route, "")))
            ratios: tuple[float | None, float | None] = (None, None)
            if found and base != service:
                other = found.typical()
                cpu = other["cpu_us"] / own["cpu_us"]
                ratios = (cpu, own["per_second"] / other["per_second"])
            default, of_default = results.get(("default", route)), None
            default = default or results.get(("default", UNCACHED.get(route, "")))
            if default and service not in {"default", *baselines.values()}:
                of_default = default.typical()["cpu_us"] / own["cpu_us"]
            rows.append(Row(service, route, own, *ratios, of_default))
    return rows


def comparison(rows: Iterable[Row]) -> str:
    """Return the table of a comparison."""
    header = ["service, route", "requests/s", "CPU µs", "p50 ms", "p99 ms"]
    return markdown(
        [*header, "ratio of CPU", "ratio of requests/s", "of CPU, to the default"],
        (
            [
                f"{row.service}, {row.route}",
                f"{row.figures['per_second']:,.0f}",
                f"{row.figures['cpu_us']:,.0f}",
                f"{row.figures['p50_ms']:.1f}",
                f"{row.figures['p99_ms']:.1f}",
                f"**{row.cpu_ratio:.2f}**" if row.cpu_ratio else "",
                f"{row.rate_ratio:.2f}" if row.rate_ratio else "",
                f"{row.default_ratio:.2f}" if row.default_ratio else "",
            ]
            for row in rows
        ),
    )


def starts(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table of starts and memory."""
    header = ["service", "start to first 200, s", "MB after start", "MB after the requests"]
    return markdown(
        header,
        (
            [
                name,
                f"{one['start_seconds']:.2f}",
                f"{one['mb_after_start']:.0f}",
                f"{one['mb_after_requests']:.0f}",
            ]
            for name, one in found.items()
        ),
    )


def costs(results: Results, names: Iterable[str], routes: Sequence[str], base: str) -> str:
    """Return how much more CPU time than the base each service takes, per route."""
    lines = []
    for name in names:
        cells = [name]
        for route in routes:
            found, other = results.get((name, route)), results[base, route]
            if found is None:
                cells.append("none")
                continue
            more = found.typical()["cpu_us"] / other.typical()["cpu_us"] - 1
            cells.append(f"{more:+.0%}".replace("%", " %"))
        lines.append(cells)
    return markdown(["compared with the default", *routes], lines)


def bars(title: str, values: Mapping[str, float]) -> str:
    """Return an SVG with one bar for each value; a line marks 1."""
    longest, height = max(*values.values(), 1.0), 24 * len(values) + 40
    scale = 340 / longest
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {height}">',
        "<style>text { font: 13px sans-serif }</style>",
        f'<rect width="640" height="{height}" fill="white"/>',
        f'<text x="10" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(values.items()):
        y, width = 32 + 24 * number, value * scale
        parts += [
            f'<text x="230" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="240" y="{y}" width="{width:.0f}" height="18" fill="#3b6ea5"/>',
            f'<text x="{246 + width:.0f}" y="{y + 14}">{value:.2f}</text>',
        ]
    x = 240 + scale
    parts.append(f'<path d="M{x:.0f} 28V{height - 8}" stroke="#b03030" stroke-dasharray="4"/>')
    return "\n".join([*parts, "</svg>", ""])
