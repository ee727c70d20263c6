"""Settings, checked before the service starts."""
