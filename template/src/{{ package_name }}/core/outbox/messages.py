"""What a message is: facts for a job, small enough to be stored and read by people."""

import re
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

LONGEST_NAME = 100

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


class Message(BaseModel):
    """Something that has happened, or is to be done, for one handler.

    It is stored as JSON, and maybe read by another release than the one that wrote it:
    give new fields a default, and keep the old ones for as long as rows may have them.
    """

    model_config = ConfigDict(frozen=True)

    name: ClassVar[str]
    """What it is called in the database, such as ``users.registered``; it must not
    change while messages of it wait."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        """Refuse a class without a usable name where it is written.

        Raises:
            TypeError: it has none.
        """
        super().__pydantic_init_subclass__(**kwargs)
        name = cls.__dict__.get("name", "")
        if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
            message = f"{cls.__name__} needs a `name` such as `users.registered`."
            raise TypeError(message)
