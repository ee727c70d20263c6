"""Settings of tokens, passwords and sign-in."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from ..about import DISTRIBUTION
from ..configuration import Configuration, split_commas
from ..rate_limits.settings import Rate
from .signing_keys import SigningKey, weakness

SigningKeys = Annotated[list[SigningKey], NoDecode, BeforeValidator(split_commas)]

MIN_HASH_MEMORY_KIB = 19 * 1024
MIN_HASH_ROUNDS = 2
"""The minimum that OWASP's Password Storage Cheat Sheet accepts for Argon2id."""


class SecuritySettings(Configuration):
    """The keys and lifetimes of tokens, the cost of password hashes, the limits."""

    jwt_secret: SigningKey = Field(examples=["an example that signs nothing, ever"])
    """The key that signs access tokens: at least 32 random bytes."""

    jwt_secret_previous: SigningKeys = Field(default=[])
    """Earlier keys whose tokens are still accepted, separated by commas."""

    jwt_issuer: str = DISTRIBUTION
    """The issuer of the access tokens."""

    jwt_audience: str = DISTRIBUTION
    """The audience of the access tokens."""

    access_token_minutes: int = Field(default=15, ge=1)
    """How long an access token is valid."""

    identity_seconds: float = Field(default=2, ge=0, le=60)
    """How long a process accepts an access token again without a query."""

    refresh_token_days: int = Field(default=14, ge=1)
    """How long a refresh token is valid, if it is not used before."""

    rate_limit_login: Rate = "30/minute"
    """How often a client may try to sign in."""

    rate_limit_registration: Rate = "30/minute"
    """How often a client may register."""

    rate_limit_refresh: Rate = "60/minute"
    """How often a client may request new tokens."""

    rate_limit_login_failures_per_account: Rate = "5/15 minutes"
    """How often a client may fail to sign in to one account."""

    rate_limit_login_failures_per_address: Rate = "30/15 minutes"
    """How often a client may fail to sign in, all accounts taken together."""

    password_hash_memory_kib: int = Field(default=65536, ge=32)
    """How much memory hashing one password takes, in KiB."""

    password_hash_rounds: int = Field(default=3, ge=1)
    """How often hashing passes over that memory."""

    @model_validator(mode="after")
    def refuse_cheap_hashes(self) -> Self:
        """Refuse password hashes in production that are too fast to compute."""
        cost = self.password_hash_memory_kib, self.password_hash_rounds
        is_cheap = cost[0] < MIN_HASH_MEMORY_KIB or cost[1] < MIN_HASH_ROUNDS
        if self.is_production and is_cheap:
            message = (
                f"PASSWORD_HASH_MEMORY_KIB must be at least {MIN_HASH_MEMORY_KIB} "
                f"and PASSWORD_HASH_ROUNDS at least {MIN_HASH_ROUNDS} in production"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def refuse_weak_keys(self) -> Self:
        """Refuse keys in production that are known or can be guessed."""
        keys = [("JWT_SECRET", self.jwt_secret)]
        keys += [("JWT_SECRET_PREVIOUS", key) for key in self.jwt_secret_previous]
        for name, key in keys:
            if self.is_production and (problem := weakness(key)):
                message = f"{name} {problem}: make a random one"
                raise ValueError(message)
        return self
