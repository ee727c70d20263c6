"""The log of security events."""

NEEDS = {"audit_log"}
