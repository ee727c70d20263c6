"""The read cache, in memory or in Redis."""

NEEDS = {"read_cache"}
