"""Creations that are sent again with the same Idempotency-Key."""

NEEDS = {"idempotency_keys"}
