"""The Grafana dashboard and the alerts of Prometheus."""

NEEDS = {"dashboards", "metrics"}
