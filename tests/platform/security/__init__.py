"""Passwords, tokens, signing keys and the limit on failed sign-ins."""

NEEDS = {"auth"}
