"""Items over HTTP."""

from uuid import UUID

from fastapi import APIRouter, status

from ..core.pagination import Page, PageRequestDep
from ..core.problems import problem_responses
from .dependencies import ItemServiceDep
from .models import Item
from .schemas import ItemPatch, ItemRead, ItemWrite

router = APIRouter(prefix="/items", tags=["items"])

NOT_FOUND = problem_responses(404)


@router.get("")
async def list_items(page: PageRequestDep, service: ItemServiceDep) -> Page[ItemRead]:
    """List items, the newest first."""
    items, next_cursor = await service.read_page(page)
    return Page[ItemRead](
        items=[ItemRead.model_validate(item) for item in items],
        limit=page.limit,
        next_cursor=next_cursor,
    )


@router.post("", status_code=status.HTTP_201_CREATED, response_model=ItemRead)
async def create_item(data: ItemWrite, service: ItemServiceDep) -> Item:
    """Add an item."""
    return await service.create(data)


@router.get("/{item_id}", response_model=ItemRead, responses=NOT_FOUND)
async def read_item(item_id: UUID, service: ItemServiceDep) -> Item:
    """Show one item."""
    return await service.read(item_id)


@router.put("/{item_id}", response_model=ItemRead, responses=NOT_FOUND)
async def replace_item(item_id: UUID, data: ItemWrite, service: ItemServiceDep) -> Item:
    """Put new content in place of all of an item's."""
    return await service.replace(item_id, data)


@router.patch("/{item_id}", response_model=ItemRead, responses=NOT_FOUND)
async def update_item(item_id: UUID, data: ItemPatch, service: ItemServiceDep) -> Item:
    """Change some of an item's content and keep the rest."""
    return await service.update(item_id, data)


@router.delete(
    "/{item_id}", status_code=status.HTTP_204_NO_CONTENT, responses=NOT_FOUND
)
async def delete_item(item_id: UUID, service: ItemServiceDep) -> None:
    """Remove an item."""
    await service.delete(item_id)
