"""Every metric and label that the dashboard and the alerts use is exposed."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import promql_parser
import pytest
import yaml
from promql_parser import AggModifierType, AggregateExpr, Matcher, MatchOp
from promql_parser import VectorSelector as Selector

from order_service.main import create_app
from order_service.settings import Settings

from ..clients import client_of, running
from ..prometheus_text import Series, series_of
from ..service import DIRECTORY, has

if has("jobs"):
    from ..worker_metrics import measured_worker, store_message

MONITORING = DIRECTORY / "monitoring"

JOB = "order-service"
SCRAPED = {"job": JOB, "instance": "127.0.0.1:8000"}
"""The labels that Prometheus adds to each sample of this service."""


class Query(NamedTuple):
    """A query for Prometheus, and the labels that its result is shown with."""

    title: str
    text: str
    shown: str

    @property
    def expression(self) -> promql_parser.Expr:
        """The parsed query; Grafana replaces its interval."""
        return promql_parser.parse(self.text.replace("$__rate_interval", "5m"))


def dashboard() -> dict[str, Any]:
    """Read the dashboard."""
    content: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    return content


def rules() -> list[dict[str, Any]]:
    """Read the rules."""
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> Iterator[Query]:
    """Return every query of both files."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            shown = " ".join(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            yield Query(panel["title"], target["expr"], shown)
    for rule in rules():
        texts = " ".join(rule["annotations"].values())
        shown = " ".join(re.findall(r"\$labels\.(\w+)", texts))
        yield Query(rule["alert"], rule["expr"], shown)


QUERIES = list(queries())


def nodes(expression: promql_parser.Expr, kind: type) -> list[Any]:
    """Return the parts of an expression that are of a kind."""
    found: list[Any] = []

    def note(part: promql_parser.Expr) -> None:
        if isinstance(part, kind):
            found.append(part)

    promql_parser.walk(expression, note)
    return found


def grouping(aggregation: AggregateExpr) -> set[str]:
    """Return the labels that an aggregation keeps."""
    if aggregation.modifier is None:
        return set()
    assert aggregation.modifier.type == AggModifierType.By, "write `by`, not `without`"
    return set(aggregation.modifier.labels)


def matches(matcher: Matcher, series: Series) -> bool:
    """Return whether a series is selected; a missing label counts as empty."""
    value = series.labels.get(matcher.name, "")
    if matcher.op in (MatchOp.Equal, MatchOp.NotEqual):
        return (matcher.value == value) is (matcher.op == MatchOp.Equal)
    is_like = re.fullmatch(matcher.value, value) is not None
    return is_like is (matcher.op == MatchOp.Re)


def selection_problems(selector: Selector, exposed: list[Series]) -> list[str]:
    """Describe what a selector needs and the service does not expose."""
    matchers = selector.matchers.matchers
    if ("job", JOB) not in {(matcher.name, matcher.value) for matcher in matchers}:
        return [f"{selector.name} is selected of every service"]
    series = [each for each in exposed if each.name == selector.name]
    if not series:
        return [f"there is no metric {selector.name}"]
    for matcher in matchers:
        if matcher.name not in labels_of(selector, exposed):
            return [f"{selector.name} has no label {matcher.name}"]
        series = [each for each in series if matches(matcher, each)]
    return [] if series else [f"nothing matches {selector}"]


def labels_of(selector: Selector, exposed: list[Series]) -> set[str]:
    """Return the labels of the metric that a selector names."""
    found = [each.labels for each in exposed if each.name == selector.name]
    return {label for labels in found for label in labels}


def problems(query: Query, exposed: list[Series]) -> list[str]:
    """Describe what a query needs and the service does not expose."""
    expression = query.expression
    found = []
    for selector in nodes(expression, Selector):
        found += selection_problems(selector, exposed)
    aggregations = nodes(expression, AggregateExpr)
    for aggregation in aggregations:
        for selector in nodes(aggregation, Selector):
            lost = grouping(aggregation) - labels_of(selector, exposed)
            found += [f"{selector.name} has no label {label}" for label in lost]
    kept = set.union(*map(grouping, aggregations)) if aggregations else set(SCRAPED)
    lost = set(query.shown.split()) - kept
    return found + [f"{label} is shown and not kept by the aggregation" for label in lost]


@pytest.fixture(scope="module")
async def exposed(module_settings: Settings) -> list[Series]:
    """Return what Prometheus reads from a service that has served requests and run a job."""
    app = create_app(module_settings)

    @app.get("/broken")
    async def fail() -> None:
        raise RuntimeError

    async with running(app) as service, client_of(service) as client:
        for path in ("/health", "/broken", "/nowhere"):
            await client.get(path)
        texts = [(await client.get("/metrics")).text]
    if has("jobs"):
        await store_message(module_settings)
        async with measured_worker(module_settings) as worker:
            texts.append(await worker.wait_for("outbox_messages_waiting 0.0"))
    samples = [each for text in texts for each in series_of(text)]
    # Prometheus itself records whether it could read them.
    samples.append(Series("up", {}, 1))
    return [each._replace(labels={**each.labels, **SCRAPED}) for each in samples]


async def test_every_query_selects_something(exposed: list[Series]) -> None:
    found = {query.title: problems(query, exposed) for query in QUERIES}

    assert {title: problem for title, problem in found.items() if problem} == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sum(http_request_total{job='%s'})", "there is no metric http_request_total"),
        ("up{job='%s', color='red'}", "up has no label color"),
        ("http_requests_total{job='%s', status='404x'}", "nothing matches"),
        ("sum by (path) (http_requests_total{job='%s'})", "no label path"),
        ("http_requests_total{status='404'}", "of every service"),
    ],
)
async def test_query_of_a_missing_metric_is_found(
    exposed: list[Series], text: str, problem: str
) -> None:
    found = problems(Query("Planted", text.replace("%s", JOB), ""), exposed)

    assert any(problem in each for each in found), found


async def test_shown_label_that_is_not_kept_is_found(exposed: list[Series]) -> None:
    planted = Query("Planted", "sum(up{job='%s'})".replace("%s", JOB), "instance")

    assert problems(planted, exposed) == ["instance is shown and not kept by the aggregation"]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in dashboard()["panels"]]

    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells

    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_alert_has_summary_description_action_and_severity(rule: dict[str, Any]) -> None:
    assert set(rule["annotations"]) == {"summary", "description", "action"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["for"]
