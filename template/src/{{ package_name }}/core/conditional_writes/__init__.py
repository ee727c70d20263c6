"""Conditional writes: If-Match on PUT, PATCH and DELETE, and optimistic locking."""
