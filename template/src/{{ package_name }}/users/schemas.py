"""Request and response bodies of users."""

from typing import Annotated

from pydantic import AfterValidator, EmailStr, Field, StringConstraints
from pydantic.json_schema import SkipJsonSchema

from ..core.http.schemas import Line, PatchSchema, RecordSchema, RequestSchema
from .models import Role

Email = Annotated[EmailStr, AfterValidator(str.lower)]
"""An e-mail address in lower case."""

NewPassword = Annotated[str, StringConstraints(min_length=12, max_length=128)]
"""Length is what makes a password hard to guess (NIST SP 800-63B, 3.1.1.2)."""


class UserCreate(RequestSchema):
    """A person who registers."""

    email: Email = Field(examples=["ada@example.com"])
    password: NewPassword = Field(examples=["a long and quiet river"])
    full_name: Line = Field(examples=["Ada Lovelace"])


class UserUpdate(PatchSchema):
    """Changes to the caller's account."""

    full_name: Line | SkipJsonSchema[None] = None


class PasswordChange(RequestSchema):
    """A new password, and the present one to prove who is asking."""

    current_password: Annotated[str, StringConstraints(max_length=128)]
    new_password: NewPassword


class UserRead(RecordSchema):
    """A user, as shown to the user and to admins."""

    email: str
    full_name: str
    role: Role
    is_active: bool
