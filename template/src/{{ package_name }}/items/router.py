"""Items over HTTP."""

from uuid import UUID

from fastapi import APIRouter, Response, status

from ..core.http.creation import ON_CREATE
from ..core.http.pagination import Page, PageRequestDep
from ..core.http.preconditions import (
    ON_CHANGE,
    ON_DELETE,
    ON_READ,
    ChangeDep,
    ReadingDep,
)
from .dependencies import ItemCreationDep, ItemServiceDep
from .models import Item
from .schemas import ItemPatch, ItemRead, ItemWrite

router = APIRouter(prefix="/items", tags=["items"])


@router.get("")
async def list_items(page: PageRequestDep, service: ItemServiceDep) -> Page[ItemRead]:
    """List items, the newest first."""
    items, next_cursor = await service.read_page(page)
    return Page[ItemRead](
        items=[ItemRead.model_validate(item) for item in items],
        limit=page.limit,
        next_cursor=next_cursor,
    )


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=ItemRead,
    responses=ON_CREATE,
)
async def create_item(
    data: ItemWrite, service: ItemServiceDep, creation: ItemCreationDep
) -> Response:
    """Add an item."""
    return await creation.run(lambda: service.create(data), ItemRead)


@router.get("/{item_id}", response_model=ItemRead, responses=ON_READ)
async def read_item(
    item_id: UUID, service: ItemServiceDep, reading: ReadingDep
) -> ItemRead | Response:
    """Show one item."""
    return reading.answer(await service.show(item_id))


@router.put("/{item_id}", response_model=ItemRead, responses=ON_CHANGE)
async def replace_item(
    item_id: UUID, data: ItemWrite, service: ItemServiceDep, change: ChangeDep
) -> Item:
    """Put new content in place of all of an item's."""
    return change.answer(await service.replace(item_id, data, change.expected))


@router.patch("/{item_id}", response_model=ItemRead, responses=ON_CHANGE)
async def update_item(
    item_id: UUID, data: ItemPatch, service: ItemServiceDep, change: ChangeDep
) -> Item:
    """Change some of an item's content and keep the rest."""
    return change.answer(await service.update(item_id, data, change.expected))


@router.delete(
    "/{item_id}", status_code=status.HTTP_204_NO_CONTENT, responses=ON_DELETE
)
async def delete_item(
    item_id: UUID, service: ItemServiceDep, change: ChangeDep
) -> None:
    """Remove an item."""
    await service.delete(item_id, change.expected)
