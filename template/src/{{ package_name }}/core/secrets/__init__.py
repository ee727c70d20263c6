"""Secrets from files and from secret managers."""
