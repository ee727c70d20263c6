"""Signing in: access tokens for requests, refresh tokens for new access tokens."""
