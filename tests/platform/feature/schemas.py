"""Request and response bodies of trials."""

from typing import Annotated

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from order_service.core.http.schemas import (
    Line,
    Paragraph,
    PatchSchema,
    RecordSchema,
    RequestSchema,
)

from ..service import has

if has("conditional_writes"):
    from order_service.core.conditional_writes.versions import VersionedSchema
else:
    VersionedSchema = RecordSchema  # type: ignore[misc]

Amount = Annotated[int, Field(strict=True, ge=0, le=2_147_483_647)]


class TrialWrite(RequestSchema):
    """A whole trial, to create or to replace one."""

    name: Line
    note: Paragraph = ""
    amount: Amount = 0


class TrialPatch(PatchSchema):
    """Changes to a trial."""

    name: Line | SkipJsonSchema[None] = None
    note: Paragraph | SkipJsonSchema[None] = None
    amount: Amount | SkipJsonSchema[None] = None


class TrialRead(VersionedSchema):
    """A stored trial."""

    name: str
    note: str
    amount: int
