"""Items that live as long as the process does."""

from collections.abc import Sequence
from uuid import UUID

from ..core.http.pagination import Cursor
from .models import Item, utc_now
from .schemas import ItemRead


class ItemRepository:
    """Keeps items in memory: replace it with a client of the system that has yours."""

    def __init__(self) -> None:
        """Start with no items."""
        self._items: dict[UUID, Item] = {}

    async def get(self, item_id: UUID) -> Item | None:
        """Return the item with this id, or ``None``."""
        return self._items.get(item_id)

    async def get_shown(self, item_id: UUID) -> ItemRead | None:
        """Return what clients see of the item with this id, or ``None``."""
        item = self._items.get(item_id)
        return None if item is None else ItemRead.model_validate(item)

    async def list_newest(self, limit: int, after: Cursor | None) -> Sequence[Item]:
        """Return at most ``limit`` items, the newest first, from after a cursor."""
        newest = sorted(
            self._items.values(),
            key=lambda item: (item.created_at, item.id),
            reverse=True,
        )
        if after is not None:
            last = (after.created_at, after.id)
            newest = [item for item in newest if (item.created_at, item.id) < last]
        return newest[:limit]

    async def add(self, item: Item) -> Item:
        """Store a new item."""
        self._items[item.id] = item
        return item

    async def save(self, item: Item) -> Item:
        """Note that an item has changed."""
        item.updated_at = utc_now()
        item.version += 1
        return item

    async def delete(self, item: Item) -> None:
        """Remove an item."""
        del self._items[item.id]
