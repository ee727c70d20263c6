"""One request is one transaction, committed before the response is sent."""

from typing import ClassVar

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from order_service.core.database.session import SessionDep
from order_service.core.errors import ConflictError

router = APIRouter(prefix="/notes")


class KeptError(ConflictError):
    """An error that commits what the request wrote."""

    commit_on_error: ClassVar[bool] = True


@router.post("/{name}")
async def write_note(name: str, session: SessionDep) -> str:
    """Write a note, and then do what its name says."""
    await session.execute(text("CREATE TABLE IF NOT EXISTS notes (name TEXT)"))
    await session.execute(text("INSERT INTO notes VALUES (:name)"), {"name": name})
    if name == "refused":
        raise ConflictError(name)
    if name == "kept":
        raise KeptError(name)
    if name == "broken":
        raise RuntimeError
    if name == "uncommittable":

        @event.listens_for(session.sync_session, "before_commit")
        def refuse(_: object) -> None:
            raise OperationalError(None, None, ConnectionError())

    return name


@router.get("")
async def list_notes(session: SessionDep) -> list[str]:
    """List the notes that were committed."""
    return list(await session.scalars(text("SELECT name FROM notes")))


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    """Return the application, with notes."""
    app.include_router(router)
    return app


@pytest.fixture
async def notes(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """Return a client of a service that holds one note."""
    await client.post("/notes/first")
    return client


async def test_success_is_committed(notes: httpx2.AsyncClient) -> None:
    response = await notes.post("/notes/second")

    assert response.status_code == 200
    assert (await notes.get("/notes")).json() == ["first", "second"]


@pytest.mark.parametrize(
    ("name", "status"), [("refused", 409), ("broken", 500), ("uncommittable", 503)]
)
async def test_failure_is_rolled_back(notes: httpx2.AsyncClient, name: str, status: int) -> None:
    response = await notes.post(f"/notes/{name}")

    # A response sent before the commit would have been a 200.
    assert response.status_code == status
    assert (await notes.get("/notes")).json() == ["first"]


async def test_errors_may_keep_their_changes(notes: httpx2.AsyncClient) -> None:
    response = await notes.post("/notes/kept")

    assert response.status_code == 409
    assert (await notes.get("/notes")).json() == ["first", "kept"]
