"""Idempotency-Key: creations that clients can retry safely."""
