"""Rows of the database as Polars frames, and notebooks."""

NEEDS = {"data_tools", "database"}
