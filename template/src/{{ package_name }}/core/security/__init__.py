"""Passwords, tokens and the guard against guessing them."""
