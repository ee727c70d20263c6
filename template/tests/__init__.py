"""The service's tests: unit, integration and e2e."""
