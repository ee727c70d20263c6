"""What is done about users outside of requests."""

import structlog

from ..core.outbox.handlers import JobContext, Jobs
from .messages import UserRegistered
from .repository import UserRepository

log = structlog.stdlib.get_logger(__name__)

jobs = Jobs()


@jobs.handles(UserRegistered)
async def send_welcome(message: UserRegistered, context: JobContext) -> None:
    """Welcome somebody who has registered, through the service that sends messages."""
    user = await UserRepository(context.session).get(message.user_id)
    if user is None:
        log.info("welcome_not_needed")
        return
    url = context.settings.notifications_url
    if url is not None:
        # If this worker is lost before it commits, another one calls again; by the key
        # the receiver knows it for the same call.
        await context.http.request(
            "POST",
            str(url),
            json={"template": "welcome", "to": user.email, "name": user.full_name},
            idempotency_key=str(context.message_id),
        )
    log.info("welcome_message", user_id=str(user.id), sent=url is not None)
