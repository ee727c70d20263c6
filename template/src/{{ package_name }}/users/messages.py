"""What users' doings tell the jobs."""

from typing import ClassVar
from uuid import UUID

from ..core.outbox.messages import Message


class UserRegistered(Message):
    """Somebody has registered. Who it is stays in the table of users."""

    name: ClassVar[str] = "users.registered"

    user_id: UUID
