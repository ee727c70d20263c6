"""Metrics for Prometheus."""

NEEDS = {"metrics"}
