"""API keys: how a machine acts for the person who made the key."""
