"""Scheduled messages of the service itself."""

from typing import ClassVar

from ..core.outbox.messages import Message


class PurgeOutbox(Message):
    """Remove messages whose jobs were done long ago."""

    name: ClassVar[str] = "outbox.purge"
