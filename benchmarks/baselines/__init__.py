"""What a service is compared with; both run in the environment of the default service."""
