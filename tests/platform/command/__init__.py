"""The installed command."""
