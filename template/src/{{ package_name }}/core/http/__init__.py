"""HTTP: middleware, errors, pages, health, documentation."""
