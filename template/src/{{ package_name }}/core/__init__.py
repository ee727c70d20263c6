"""What every feature stands on; nothing in here imports a feature."""
