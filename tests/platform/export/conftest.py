"""Exporting needs traces or error reports: any of them brings the module."""

from ..service import has

collect_ignore_glob = [] if has("tracing") or has("sentry") else ["test_*.py"]
