"""The database's connections in numbers."""

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from ..settings import ServiceSettings
from .registry import LIVE_SUM


def watch_pool(
    engine: AsyncEngine, settings: ServiceSettings, registry: CollectorRegistry
) -> None:
    """Keep the numbers up to date with what the engine's pool does."""

    def gauge(name: str, description: str) -> Gauge:
        return Gauge(name, description, registry=registry, multiprocess_mode=LIVE_SUM)

    size = gauge("database_pool_size", "Connections that are kept open.")
    limit = gauge("database_pool_limit", "Connections that may be open.")
    checked_out = gauge("database_pool_checked_out", "Connections that are in use.")
    overflow = gauge("database_pool_overflow", "Open connections beyond those kept.")
    size.set(settings.database_pool_size)
    limit.set(settings.database_pool_size + settings.database_max_overflow)

    # The pool reports some ends without a beginning, as when a connection turns out to
    # be broken: so the connections themselves are noted, and not how often.
    opened: set[object] = set()
    used: set[object] = set()

    def note(*_: object) -> None:
        checked_out.set(len(used))
        overflow.set(max(0, len(opened) - settings.database_pool_size))

    def note_opened(connection: object, entry: object) -> None:
        opened.add(entry)
        note()

    def note_closed(connection: object, entry: object) -> None:
        opened.discard(entry)
        note()

    def note_taken(connection: object, entry: object, proxy: object) -> None:
        used.add(entry)
        note()

    def note_returned(connection: object, entry: object) -> None:
        used.discard(entry)
        note()

    event.listen(engine.sync_engine, "connect", note_opened)
    event.listen(engine.sync_engine, "close", note_closed)
    event.listen(engine.sync_engine, "checkout", note_taken)
    event.listen(engine.sync_engine, "checkin", note_returned)
