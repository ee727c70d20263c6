"""The service's own additions to the application: this file is yours."""

from fastapi import FastAPI

from .settings import Settings


def extend(app: FastAPI, settings: Settings) -> None:
    """Change the finished application before it serves its first request.

    The place for a mounted application, a middleware or an error handler of your
    own. Routers are listed in ``api.py``.
    """
