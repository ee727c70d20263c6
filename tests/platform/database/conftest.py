"""A service whose connections to the database lead through a proxy."""

from ..service import has

if has("postgresql"):
    from ..wired_database import wire, wired_settings

    __all__ = ["wire", "wired_settings"]
