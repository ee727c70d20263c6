"""HTTP: middleware, problem details, pagination, entity tags, probes, documentation."""
