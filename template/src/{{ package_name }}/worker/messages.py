"""What the clock says to the service itself."""

from typing import ClassVar

from ..core.outbox.messages import Message


class PurgeOutbox(Message):
    """Messages that were done long ago are not needed any more."""

    name: ClassVar[str] = "outbox.purge"
