"""Settings from mounted files and secret managers."""
