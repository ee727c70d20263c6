"""Reads kept for a short time, in memory or in Redis."""
