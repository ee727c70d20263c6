"""Users: registration and their own accounts."""
