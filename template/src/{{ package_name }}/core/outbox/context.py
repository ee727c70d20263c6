"""What a message remembers of where it comes from."""

REQUEST_ID = "request_id"


def message_context(request_id: str | None) -> dict[str, str]:
    """Give what the job's log lines are found by, together with those of the request."""
    return {} if request_id is None else {REQUEST_ID: request_id}
