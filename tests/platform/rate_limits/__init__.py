"""Rate limits, counted in memory or in Redis."""

NEEDS = {"rate_limits"}
