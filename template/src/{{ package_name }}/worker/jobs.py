"""The service's own maintenance jobs."""

from datetime import timedelta

import structlog
from sqlalchemy import delete, func, select

from ..core.outbox.handlers import JobContext, Jobs
from ..core.outbox.models import OutboxMessage
from .messages import PurgeOutbox

log = structlog.stdlib.get_logger(__name__)

PURGED_AT_ONCE = 5_000
"""The number of messages one job removes, so that its statement stays short."""

jobs = Jobs()
jobs.schedule("0 3 * * *", PurgeOutbox())


@jobs.handles(PurgeOutbox)
async def purge_outbox(message: PurgeOutbox, context: JobContext) -> None:
    """Remove messages after their TTL; dead letters stay until they are replayed."""
    age = timedelta(days=context.settings.outbox_days)
    old = (
        select(OutboxMessage.id)
        .where(OutboxMessage.done_at < func.now() - age)
        .order_by(OutboxMessage.done_at)
        .limit(PURGED_AT_ONCE)
    )
    purged = await context.session.scalars(
        delete(OutboxMessage)
        .where(OutboxMessage.id.in_(old))
        .returning(OutboxMessage.id)
    )
    count = len(purged.all())
    log.info("outbox_purged", messages=count)
    if count == PURGED_AT_ONCE:
        await context.outbox.add(message)
