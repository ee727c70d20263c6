"""Writes on a condition: If-Match and versions."""

NEEDS = {"conditional_writes"}
