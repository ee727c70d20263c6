"""Request and response bodies of signing in."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from ..core.http.schemas import RequestSchema, ResponseSchema


class RefreshRequest(RequestSchema):
    """A refresh token, to be traded or given up."""

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class TokenPair(ResponseSchema):
    """What a client needs to go on without the password (RFC 6749, section 5.1)."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: int = Field(description="How many seconds the access token is valid.")
