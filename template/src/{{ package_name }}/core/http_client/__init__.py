"""Calls to other services: timeouts, retries, circuit breaker."""
