"""Adds messages to the outbox, in the transaction of what they are about."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from ..database.session import SessionDep
from ..http.request_id import SCOPE_KEY
from .context import current_context, message_context
from .messages import Message
from .models import OutboxMessage

MOST_BYTES = 65_536
"""The maximum size of a message. Store larger content in a table, and send its id."""


class MessageTooLargeError(ValueError):
    """A message exceeds the maximum size."""

    def __init__(self, name: str) -> None:
        """Name the message class, and none of its content."""
        super().__init__(f"{name} takes more than {MOST_BYTES} bytes: send an id.")


class Outbox:
    """Adds messages within one transaction."""

    def __init__(self, session: AsyncSession, context: Mapping[str, str]) -> None:
        """Add messages in this session's transaction.

        Args:
            session: The session that also writes what the messages are about.
            context: The ids of the request, to be stored with each message.
        """
        self._session = session
        self._context = dict(context)

    async def add(self, message: Message) -> UUID:
        """Add a message, and return its id; its job starts after the commit.

        Raises:
            MessageTooLargeError: it holds too much.
        """
        # The trace at this moment: a job that adds a message continues its own trace.
        row = row_of(message, uuid4(), self._context | current_context())
        self._session.add(row)
        await self._session.flush()
        return row.id


def row_of(
    message: Message, message_id: UUID, context: Mapping[str, str]
) -> OutboxMessage:
    """Make the row that keeps a message.

    Raises:
        MessageTooLargeError: it holds too much.
    """
    if len(message.model_dump_json()) > MOST_BYTES:
        raise MessageTooLargeError(message.name)
    return OutboxMessage(
        id=message_id,
        name=message.name,
        payload=message.model_dump(mode="json"),
        context=dict(context),
    )


async def get_outbox(request: Request, session: SessionDep) -> Outbox:
    """Give the outbox, within this request's transaction."""
    return Outbox(session, message_context(request.scope.get(SCOPE_KEY)))


OutboxDep = Annotated[Outbox, Depends(get_outbox)]
