"""What clients send about items, and what they are shown."""

from typing import Annotated

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from ..core.http.schemas import (
    Line,
    Paragraph,
    PatchSchema,
    RecordSchema,
    RequestSchema,
)

PriceCents = Annotated[int, Field(strict=True, ge=0, le=2_147_483_647)]
"""A price in hundredths of the currency, so that no sum is ever rounded."""


class ItemWrite(RequestSchema):
    """A whole item, to create or to put in place of another."""

    name: Line = Field(examples=["Lamp"])
    description: Paragraph = Field(default="", examples=["Warm light, oak foot."])
    price_cents: PriceCents = Field(default=0, examples=[4900])


class ItemPatch(PatchSchema):
    """Changes to an item."""

    name: Line | SkipJsonSchema[None] = None
    description: Paragraph | SkipJsonSchema[None] = None
    price_cents: PriceCents | SkipJsonSchema[None] = None


class ItemRead(RecordSchema):
    """An item, as it is stored."""

    version: int = Field(description="Its `ETag` without the quotes.", examples=[1])
    name: str
    description: str
    price_cents: int
