"""Query results as Polars data frames."""
