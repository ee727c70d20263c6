"""The bases of all request and response bodies, and the text they accept."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    StringConstraints,
    field_validator,
)


def _refuse_nul(text: str) -> str:
    # Many a database cannot store the character, so it would fail much later.
    if "\x00" in text:
        message = "The text must not contain a NUL character."
        raise ValueError(message)
    return text


Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=120),
    AfterValidator(_refuse_nul),
]
"""A name or a title: some text, at most 120 characters."""

Paragraph = Annotated[
    str, StringConstraints(max_length=2000), AfterValidator(_refuse_nul)
]
"""Text of any shape, at most 2000 characters."""


class RequestSchema(BaseModel):
    """A body that a client sends; a field it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PatchSchema(RequestSchema):
    """A body of changes: a field that is left out keeps its value."""

    @field_validator("*", mode="before")
    @classmethod
    def refuse_null(cls, content: object) -> object:
        """Refuse null, which is neither a value nor the absence of the field."""
        if content is None:
            message = "Leave the field out to keep its value; null is not one."
            raise ValueError(message)
        return content


class ResponseSchema(BaseModel):
    """A body that the service sends, read from an object's attributes."""

    model_config = ConfigDict(from_attributes=True)


class RecordSchema(ResponseSchema):
    """A body that shows a stored record."""

    id: UUID
    created_at: datetime
    updated_at: datetime
