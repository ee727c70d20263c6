"""Traces, exported with OpenTelemetry."""

NEEDS = {"tracing"}
