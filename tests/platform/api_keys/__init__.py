"""API keys for machines."""

NEEDS = {"api_keys"}
