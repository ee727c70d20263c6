"""What clients send about API keys, and what they are shown."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from ..core.http.schemas import Line, RecordSchema, RequestSchema
from .models import Scope

READ_ONLY = [scope for scope in Scope if scope.endswith(":read")]

Days = Annotated[int, Field(ge=1, le=3650)]


class ApiKeyCreate(RequestSchema):
    """A key to be made."""

    name: Line = Field(examples=["Nightly import"])
    scopes: list[Scope] = Field(
        default=READ_ONLY,
        min_length=1,
        description="What the key may do; reading only, unless more is asked for.",
    )
    expires_in_days: Days | None = Field(
        default=None, description="Without it the key is valid until it is revoked."
    )


class ApiKeyRead(RecordSchema):
    """A key, as its owner sees it ever after."""

    name: str
    prefix: str = Field(description="How the key begins.")
    scopes: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")


class ApiKeyCreated(ApiKeyRead):
    """A new key, whole: it is shown this once and kept nowhere."""

    key: str = Field(description="Send it as `X-API-Key`.")
