"""Reads that must agree with each other."""

from fastapi import Depends

from .dialect import begin_snapshot
from .session import SessionDep


async def _begin_snapshot(session: SessionDep) -> None:
    await begin_snapshot(session)


in_snapshot = Depends(_begin_snapshot)
"""For a route whose statements must see one state: ``dependencies=[in_snapshot]``."""
