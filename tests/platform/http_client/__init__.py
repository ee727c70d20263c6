"""Calls to other services."""

NEEDS = {"http_client"}
