"""Metrics in the text format of Prometheus, as a list of samples."""

from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families


class Series(NamedTuple):
    """One sample."""

    name: str
    labels: dict[str, str]
    value: float


def series_of(text: str) -> list[Series]:
    """Return all samples of a response of /metrics."""
    return [
        Series(sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
