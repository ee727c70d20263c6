"""The development package, where it is installed: on a developer's machine."""

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

PACKAGE = f"{__name__.partition('.')[0]}_dev"


def development_module(name: str) -> ModuleType | None:
    """Return a module of the development package, or ``None`` in production.

    The package is in neither the wheel nor the image.
    """
    return import_module(f"{PACKAGE}.{name}") if find_spec(PACKAGE) else None


def development_environment() -> AbstractContextManager[None]:
    """Provide the settings that are missing on a developer's machine."""
    environment = development_module("environment")
    if environment is None:
        return nullcontext()
    provided: AbstractContextManager[None] = environment.development_environment()
    return provided
