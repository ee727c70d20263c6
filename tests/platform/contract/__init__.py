"""The checks of the API document that a service has."""
