"""People who use the service: registration and their own account."""
