"""Benchmarks of generated services: README.md describes the method."""
