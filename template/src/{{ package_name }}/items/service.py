"""The rules for items."""

from collections.abc import Sequence
from uuid import UUID

from ..core.errors import NotFoundError
from ..core.http.pagination import PageRequest
from .models import Item
from .repository import ItemRepository
from .schemas import ItemPatch, ItemWrite


class ItemService:
    """Creates, returns, changes and deletes items."""

    def __init__(self, items: ItemRepository) -> None:
        self._items = items

    async def create(self, data: ItemWrite) -> Item:
        """Create an item."""
        return await self._items.add(Item(**data.model_dump()))

    async def get(self, item_id: UUID) -> Item:
        """Return one item.

        Raises:
            NotFoundError: this caller has no such item.
        """
        item = await self._items.get(item_id)
        if item is None:
            message = "There is no such item."
            raise NotFoundError(message)
        return item

    async def list_newest(self, page: PageRequest) -> Sequence[Item]:
        """Return the items of a page, newest first, and one more if more follow."""
        return await self._items.list_newest(page.limit + 1, page.after)

    async def replace(self, item_id: UUID, data: ItemWrite) -> Item:
        """Replace all of an item's content; a field left out gets its default."""
        item = await self.get(item_id)
        return await self._items.update(item, data.model_dump())

    async def update(self, item_id: UUID, data: ItemPatch) -> Item:
        """Change the given fields, and keep the others."""
        item = await self.get(item_id)
        return await self._items.update(item, data.model_dump(exclude_unset=True))

    async def delete(self, item_id: UUID) -> None:
        """Delete an item."""
        await self._items.delete(await self.get(item_id))
