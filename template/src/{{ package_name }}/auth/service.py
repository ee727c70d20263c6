"""The rules for signing in, staying signed in and signing out."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from ..core.database.models import utc_now
from ..core.errors import AuthenticationError
from ..core.security.events import SecurityEvent, SecurityLog
from ..core.security.passwords import Passwords
from ..core.security.tokens import AccessTokens
from ..users.models import User
from ..users.repository import UserRepository
from .models import RefreshToken
from .repository import RefreshTokenRepository
from .schemas import TokenPair


class SignInError(AuthenticationError):
    """A sign-in failed; the event is committed all the same."""

    commit_on_error = True


class TokenReuseError(AuthenticationError):
    """A refresh token was sent twice, so one of the senders has stolen it.

    The revocation is committed although the request is refused.
    """

    commit_on_error = True


@dataclass(frozen=True)
class AuthService:
    """Exchanges passwords for tokens, and tokens for newer ones."""

    users: UserRepository
    refresh_tokens: RefreshTokenRepository
    passwords: Passwords
    access_tokens: AccessTokens
    events: SecurityLog
    refresh_lifetime: timedelta

    async def sign_in(self, email: str, password: str) -> TokenPair:
        """Exchange a password for a pair of tokens.

        Raises:
            SignInError: no such user, a wrong password or a closed account; neither
                the response nor its time reveals which.
        """
        user = await self.users.get_by_email(email.strip().lower())
        stored = user.password_hash if user else None
        is_right, renewed_hash = await self.passwords.verify(password, stored)
        if user is None or not is_right or not user.is_active:
            user_id = user.id if user else None
            await self.events.record(SecurityEvent.SIGN_IN_FAILED, user_id)
            raise SignInError
        if renewed_hash is not None:
            user.password_hash = renewed_hash
        now = utc_now()
        await self.refresh_tokens.delete_expired(user.id, now)
        family_id = uuid4()
        await self.events.record(SecurityEvent.SIGNED_IN, user.id, family_id)
        return await self._issue_pair(user, family_id, now)

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Exchange a refresh token for a new pair; it cannot be used again.

        Raises:
            TokenReuseError: it was used before; its whole family is revoked.
            AuthenticationError: it is unknown, expired or revoked, or its user has
                changed the password or closed the account.
        """
        now = utc_now()
        token = await self.refresh_tokens.get_by_digest(_digest(refresh_token))
        if token is None or token.revoked_at is not None or token.expires_at <= now:
            raise AuthenticationError
        user = await self.users.get(token.user_id)
        if user is None or not user.is_active:
            raise AuthenticationError
        if user.credentials_version != token.credentials_version:
            raise AuthenticationError
        if not await self.refresh_tokens.claim(token, now):
            await self.refresh_tokens.revoke_family(token.family_id, now)
            event = SecurityEvent.TOKEN_REUSED
            await self.events.record(event, user.id, token.family_id)
            raise TokenReuseError
        return await self._issue_pair(user, token.family_id, now)

    async def sign_out(self, refresh_token: str) -> None:
        """Revoke a refresh token and all that descend from the same sign-in."""
        token = await self.refresh_tokens.get_by_digest(_digest(refresh_token))
        if token is not None:
            await self.refresh_tokens.revoke_family(token.family_id, utc_now())

    async def _issue_pair(
        self, user: User, family_id: UUID, now: datetime
    ) -> TokenPair:
        refresh_token = secrets.token_urlsafe(32)
        await self.refresh_tokens.add(
            RefreshToken(
                digest=_digest(refresh_token),
                user_id=user.id,
                family_id=family_id,
                credentials_version=user.credentials_version,
                expires_at=now + self.refresh_lifetime,
            )
        )
        return TokenPair(
            access_token=self.access_tokens.issue(user.id, user.credentials_version),
            refresh_token=refresh_token,
            expires_in=int(self.access_tokens.lifetime.total_seconds()),
        )


def _digest(refresh_token: str) -> str:
    # A plain digest is enough: the token is random, so it cannot be guessed.
    return hashlib.sha256(refresh_token.encode()).hexdigest()
