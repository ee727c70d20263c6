"""A Redis that several processes share, and that may be unavailable."""

NEEDS = {"redis"}
