"""Metrics of the database's connections."""

from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from ..database.settings import PoolSettings
from .registry import MULTIPROC_MODE


def watch_pool(
    engine: AsyncEngine, settings: PoolSettings, registry: CollectorRegistry
) -> None:
    """Keep the metrics up to date with the engine's pool."""
    gauge = partial(Gauge, registry=registry, multiprocess_mode=MULTIPROC_MODE)
    size = gauge("database_pool_size", "Connections that are kept open.")
    limit = gauge("database_pool_limit", "Connections that may be open.")
    checked_out = gauge("database_pool_checked_out", "Connections that are in use.")
    overflow = gauge("database_pool_overflow", "Open connections beyond those kept.")
    size.set(settings.database_pool_size)
    limit.set(settings.database_pool_size + settings.database_max_overflow)

    # Connections are noted, not counted: the pool reports some closings without an
    # opening, for example of a broken connection.
    opened: set[object] = set()
    used: set[object] = set()

    def watch(
        name: str, note: Callable[[object], None], show: Callable[[], None]
    ) -> None:
        def update(connection: object, entry: object, *_: object) -> None:
            note(entry)
            show()

        event.listen(engine.sync_engine, name, update)

    def show_opened() -> None:
        overflow.set(max(0, len(opened) - settings.database_pool_size))

    def show_used() -> None:
        checked_out.set(len(used))

    watch("connect", opened.add, show_opened)
    watch("close", opened.discard, show_opened)
    watch("checkout", used.add, show_used)
    watch("checkin", used.discard, show_used)
