"""What telemetry sends out: redaction, and a bounded shutdown."""
