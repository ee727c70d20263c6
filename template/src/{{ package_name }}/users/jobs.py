"""Jobs for users."""

import structlog

from ..core.outbox.handlers import JobContext, Jobs
from .messages import UserRegistered
from .repository import UserRepository

log = structlog.stdlib.get_logger(__name__)

jobs = Jobs()


@jobs.handles(UserRegistered)
async def send_welcome(message: UserRegistered, context: JobContext) -> None:
    """Have the notification service send a welcome message to a new user."""
    user = await UserRepository(context.session).get(message.user_id)
    if user is None:
        log.info("welcome_not_needed")
        return
    url = context.settings.notifications_url
    if url is not None:
        # If this worker is lost before it commits, another one repeats the call; the
        # receiver recognises it by the key.
        await context.http.request(
            "POST",
            str(url),
            json={"template": "welcome", "to": user.email, "name": user.full_name},
            idempotency_key=str(context.message_id),
        )
    log.info("welcome_message", user_id=str(user.id), sent=url is not None)
