"""The service's own settings: add yours here."""

from .core.settings import ServiceSettings


class Settings(ServiceSettings):
    """Everything the service reads from its environment.

    A field becomes an environment variable of the same name in capitals:

        greeting: str = "Hello"  # GREETING
    """
