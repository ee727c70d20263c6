"""The installed command, as a process of its own."""
