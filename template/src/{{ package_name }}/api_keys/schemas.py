"""Request and response bodies of API keys."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from ..core.http.schemas import Line, RecordSchema, RequestSchema
from .models import Scope

READ_ONLY = [scope for scope in Scope if scope.endswith(":read")]

Days = Annotated[int, Field(ge=1, le=3650)]


class ApiKeyCreate(RequestSchema):
    """A key to create."""

    name: Line = Field(examples=["Nightly import"])
    scopes: list[Scope] = Field(
        default=READ_ONLY,
        min_length=1,
        description="The permissions of the key; read-only by default.",
    )
    expires_in_days: Days | None = Field(
        default=None, description="Without it the key is valid until it is revoked."
    )


class ApiKeyRead(RecordSchema):
    """A key as listed, without its secret."""

    name: str
    prefix: str = Field(description="The first characters, which identify the key.")
    scopes: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="The last use, to the minute.")


class ApiKeyCreated(ApiKeyRead):
    """A new key with its secret, which is returned only once and not stored."""

    key: str = Field(description="Send it as `X-API-Key`.")
