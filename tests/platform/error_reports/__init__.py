"""Error reports, sent to Sentry."""

NEEDS = {"sentry"}
