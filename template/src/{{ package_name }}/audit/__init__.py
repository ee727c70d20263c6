"""The audit log: what happened to accounts and credentials, and to whom."""
