"""What the service promises to its clients, and to whoever changes it."""
