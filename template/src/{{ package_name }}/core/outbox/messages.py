"""The base class of messages: data for a job, small and readable in the database."""

import re
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

LONGEST_NAME = 100

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


class Message(BaseModel):
    """An event or a command, for one handler.

    It is stored as JSON and may be read by another release than the one that wrote it:
    give new fields a default, and keep old fields for as long as rows may have them.
    """

    model_config = ConfigDict(frozen=True)

    name: ClassVar[str]
    """The name in the database, such as ``users.registered``; it must not change while
    messages with it are undelivered."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        """Refuse a class without a valid name when it is defined.

        Raises:
            TypeError: the class has no valid name.
        """
        super().__pydantic_init_subclass__(**kwargs)
        name = cls.__dict__.get("name", "")
        if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
            message = f"{cls.__name__} needs a `name` such as `users.registered`."
            raise TypeError(message)
