"""Access tokens: signed, short-lived, and with all their claims checked."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt

from ..errors import AuthenticationError
from .settings import SecuritySettings

ALGORITHM = "HS256"
"""Pinned: a token that names another one is refused."""

TOKEN_TYPE = "access"  # noqa: S105
REQUIRED_CLAIMS = ["aud", "exp", "iat", "iss", "jti", "sub", "typ", "ver"]
LEEWAY_SECONDS = 5
"""The clock skew between two machines that is accepted."""


@dataclass(frozen=True)
class AccessClaims:
    """The claims of a valid access token."""

    user_id: UUID
    credentials_version: int
    expires_at: int
    """As Unix time."""


class AccessTokens:
    """Issues access tokens and reads them back."""

    def __init__(self, settings: SecuritySettings) -> None:
        self._secret = settings.jwt_secret.get_secret_value()
        previous = [key.get_secret_value() for key in settings.jwt_secret_previous]
        self._accepted = [self._secret, *previous]
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self.lifetime = timedelta(minutes=settings.access_token_minutes)

    def issue(self, user_id: UUID, credentials_version: int) -> str:
        """Sign a token; a later ``credentials_version`` of the user invalidates it."""
        now = datetime.now(UTC)
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user_id),
            "jti": uuid4().hex,
            "typ": TOKEN_TYPE,
            "ver": credentials_version,
            "iat": now,
            "exp": now + self.lifetime,
        }
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def read(self, token: str) -> AccessClaims:
        """Check a token and return its claims.

        Raises:
            AuthenticationError: the token is invalid in any way.
        """
        for secret in self._accepted:
            try:
                return self._read(token, secret)
            except jwt.InvalidSignatureError:
                # It may be signed with a previous key.
                continue
            except (jwt.InvalidTokenError, ValueError, TypeError) as error:
                raise AuthenticationError from error
        raise AuthenticationError

    def _read(self, token: str, secret: str) -> AccessClaims:
        claims = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            issuer=self._issuer,
            audience=self._audience,
            leeway=LEEWAY_SECONDS,
            options={"require": REQUIRED_CLAIMS},
        )
        if claims["typ"] != TOKEN_TYPE:
            raise AuthenticationError
        return AccessClaims(UUID(claims["sub"]), int(claims["ver"]), int(claims["exp"]))
