"""Messages about users."""

from typing import ClassVar
from uuid import UUID

from ..core.outbox.messages import Message


class UserRegistered(Message):
    """A user has registered; name and address stay in the table of users."""

    name: ClassVar[str] = "users.registered"

    user_id: UUID
