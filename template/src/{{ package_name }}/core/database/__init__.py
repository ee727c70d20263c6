"""The database: engine, sessions, models, dialects."""
