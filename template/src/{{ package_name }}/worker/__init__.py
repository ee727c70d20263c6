"""The processes that do jobs, and the one that sends messages by the clock."""
