"""Requests and responses: errors, middleware, pages, entity tags, documentation, probes."""
