"""Finds what each feature contributes, so that a new one is wired by existing."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import typer
from fastapi import APIRouter

PACKAGE = __name__.rpartition(".core.")[0]
"""The service's package, whatever it is called."""

LAYERS = {"router": "api"}
"""Where a role lives when modules are grouped by layer instead of by feature; the other
roles live in a folder of their own name."""


class DiscoveryError(RuntimeError):
    """A module does not hold what its name promises."""


def find_modules(role: str) -> Iterator[ModuleType]:
    """Import every module that plays a role, in the order of their names.

    Both layouts are covered: ``items/router.py`` and ``api/items.py`` play the
    role ``router``.
    """
    package = import_module(PACKAGE)
    layer = f"{PACKAGE}.{LAYERS.get(role, role)}"
    modules = pkgutil.walk_packages(package.__path__, f"{PACKAGE}.")
    for name in sorted(module.name for module in modules):
        parent, _, last = name.rpartition(".")
        if name != layer and (last == role or parent == layer):
            yield import_module(name)


def find_routers() -> Iterator[APIRouter]:
    """Give the ``router`` of every feature.

    Raises:
        DiscoveryError: a router module has no ``router``.
    """
    for module in find_modules("router"):
        router = getattr(module, "router", None)
        if not isinstance(router, APIRouter):
            message = f"{module.__name__} must define `router`, an APIRouter."
            raise DiscoveryError(message)
        yield router


def find_commands() -> Iterator[typer.Typer]:
    """Give the command-line ``commands`` of every feature.

    Raises:
        DiscoveryError: a commands module has no ``commands``.
    """
    for module in find_modules("commands"):
        commands = getattr(module, "commands", None)
        if not isinstance(commands, typer.Typer):
            message = f"{module.__name__} must define `commands`, a typer.Typer."
            raise DiscoveryError(message)
        yield commands
