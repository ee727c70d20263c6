"""Trials: a feature that only the platform tests have, so that none needs the service's own.

It uses the capabilities of the core as a feature of the service would. Its callers are told
apart by the header ``X-Caller``, so that no test has to sign in.
"""

from fastapi import FastAPI

from .router import router

TRIALS = "/api/v1/trials"
TRIAL = "/api/v1/trials/{trial_id}"
"""The route template that logs, metrics and spans name."""


def add_trials(app: FastAPI) -> None:
    """Add the trials to an application, as its ``extras.py`` could."""
    app.include_router(router, prefix="/api/v1")


__all__ = ["TRIAL", "TRIALS", "add_trials"]
