"""API keys: a machine acts as the user who created the key, within the key's scopes."""
