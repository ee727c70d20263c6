"""Reads see each change at once, unless a route asks for a snapshot."""

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Request
from sqlalchemy import text

from order_service.core.database.session import SessionDep
from order_service.core.database.snapshots import in_snapshot

from ..clients import client_of, running
from ..feature import TRIALS

router = APIRouter(prefix="/counts")


async def count_twice(request: Request, session: SessionDep) -> list[int]:
    """Count the trials before and after another request has added one."""
    count = text("SELECT count(*) FROM trials")
    first = await session.scalar(count)
    client: httpx2.AsyncClient = request.app.state.client
    (await client.post(TRIALS, json={"name": "Lamp"})).raise_for_status()
    return [first, await session.scalar(count)]


router.get("/current")(count_twice)
router.get("/snapshot", dependencies=[in_snapshot])(count_twice)


@pytest.mark.parametrize(("route", "seen"), [("current", [0, 1]), ("snapshot", [0, 0])])
async def test_a_change_between_two_reads(app: FastAPI, route: str, seen: list[int]) -> None:
    app.include_router(router)
    async with running(app) as service, client_of(service) as client:
        app.state.client = client

        response = await client.get(f"/counts/{route}")

    assert response.json() == seen
