"""Removal of secrets from what leaves the service."""
