"""The rules for items."""

from uuid import UUID

from ..core.errors import NotFoundError
from ..core.http.pagination import Cursor, PageRequest
from ..core.http.versions import ANY_VERSION, ExpectedVersion
from .models import Item
from .repository import ItemRepository
from .schemas import ItemPatch, ItemRead, ItemWrite

NO_SUCH_ITEM = "There is no such item."


class ItemService:
    """Adds, shows, changes and removes items."""

    def __init__(self, items: ItemRepository) -> None:
        """Take what the rules work on."""
        self._items = items

    async def create(self, data: ItemWrite) -> Item:
        """Add an item."""
        return await self._items.add(Item(**data.model_dump()))

    async def read(self, item_id: UUID) -> Item:
        """Return one item.

        Raises:
            NotFoundError: there is no such item for this caller.
        """
        item = await self._items.get(item_id)
        if item is None:
            raise NotFoundError(NO_SUCH_ITEM)
        return item

    async def show(self, item_id: UUID) -> ItemRead:
        """Return what clients see of one item; a cache may have it.

        Raises:
            NotFoundError: there is no such item for this caller.
        """
        shown = await self._items.get_shown(item_id)
        if shown is None:
            raise NotFoundError(NO_SUCH_ITEM)
        return shown

    async def read_page(self, page: PageRequest) -> tuple[list[Item], str | None]:
        """Return some items, the newest first, and where the next ones start."""
        rows = await self._items.list_newest(page.limit + 1, page.after)
        return page.cut(rows, lambda item: Cursor(item.created_at, item.id))

    async def replace(
        self, item_id: UUID, data: ItemWrite, expected: ExpectedVersion = ANY_VERSION
    ) -> Item:
        """Put new content in place of all of an item's.

        Raises:
            NotFoundError: there is no such item for this caller.
            PreconditionFailedError: it has another version than the caller expects.
        """
        return await self._change(item_id, data.model_dump(), expected)

    async def update(
        self, item_id: UUID, data: ItemPatch, expected: ExpectedVersion = ANY_VERSION
    ) -> Item:
        """Change what was given and keep the rest.

        Raises:
            NotFoundError: there is no such item for this caller.
            PreconditionFailedError: it has another version than the caller expects.
        """
        changes = data.model_dump(exclude_unset=True)
        return await self._change(item_id, changes, expected)

    async def delete(
        self, item_id: UUID, expected: ExpectedVersion = ANY_VERSION
    ) -> None:
        """Remove an item.

        Raises:
            NotFoundError: there is no such item for this caller.
            PreconditionFailedError: it has another version than the caller expects.
        """
        item = await self.read(item_id)
        expected.check(item.version)
        await self._items.delete(item)

    async def _change(
        self, item_id: UUID, changes: dict[str, object], expected: ExpectedVersion
    ) -> Item:
        item = await self.read(item_id)
        expected.check(item.version)
        for name, content in changes.items():
            setattr(item, name, content)
        return await self._items.save(item)
