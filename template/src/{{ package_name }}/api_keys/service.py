"""The rules for API keys: create, list, revoke and authenticate."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from ..core.database.models import utc_now
from ..core.errors import AuthenticationError, NotFoundError
from ..core.http.pagination import PageRequest
from ..core.security.events import SecurityLog
from ..core.security.identities import Identity
from ..users.models import User
from .models import ApiKey
from .repository import ApiKeyRepository
from .schemas import ApiKeyCreate

PREFIX_BYTES = 6
SECRET_BYTES = 32

FORM = re.compile(r"(?P<prefix>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")
"""What these bytes look like in hexadecimal and in base64."""

KEY_CREATED = "api_key_created"
KEY_REVOKED = "api_key_revoked"

USE_INTERVAL = timedelta(minutes=1)
"""Resolution of the time of last use; storing every use would cost a write each."""


class ApiKeyService:
    """Manages users' API keys, and authenticates requests that send one."""

    def __init__(self, api_keys: ApiKeyRepository, events: SecurityLog) -> None:
        """Use these repositories and this request's events."""
        self._api_keys = api_keys
        self._events = events

    async def create(self, owner: User, data: ApiKeyCreate) -> tuple[ApiKey, str]:
        """Create a key, and return it with its secret, which cannot be read again."""
        prefix = secrets.token_hex(PREFIX_BYTES)
        secret = secrets.token_urlsafe(SECRET_BYTES)
        lifetime = data.expires_in_days
        key = await self._api_keys.add(
            ApiKey(
                owner_id=owner.id,
                name=data.name,
                prefix=prefix,
                digest=_digest(secret),
                scopes=sorted(set(data.scopes)),
                expires_at=lifetime and utc_now() + timedelta(days=lifetime),
            )
        )
        await self._events.record(KEY_CREATED, owner.id, key.id)
        return key, f"{prefix}_{secret}"

    async def list_newest(self, owner: User, page: PageRequest) -> Sequence[ApiKey]:
        """Return the keys of a page, newest first, and one more if more follow."""
        return await self._api_keys.list_newest(owner.id, page.limit + 1, page.after)

    async def revoke(self, owner: User, key_id: UUID) -> None:
        """Revoke a key; it stays in the list as revoked.

        Raises:
            NotFoundError: the caller has no such key.
        """
        key = await self._api_keys.get_own(owner.id, key_id)
        if key is None:
            message = "There is no such API key."
            raise NotFoundError(message)
        if key.revoked_at is None:
            key.revoked_at = utc_now()
            await self._api_keys.save(key)
            await self._events.record(KEY_REVOKED, owner.id, key.id)

    async def authenticate(self, text: str, scope: str) -> Identity:
        """Return the user whom a key acts for.

        Args:
            text: The key as received.
            scope: The scope that the request requires.

        Raises:
            AuthenticationError: it is not a valid key, or the key or its owner may not
                be used now; the response does not show which.
            ForbiddenError: the key is valid but lacks the scope.
        """
        form = FORM.fullmatch(text)
        found = form and await self._api_keys.get_with_owner(form["prefix"])
        if not form or not found:
            raise AuthenticationError
        key, owner = found
        is_right = hmac.compare_digest(key.digest, _digest(form["secret"]))
        now = utc_now()
        if not (is_right and key.is_usable(now) and owner.is_active):
            raise AuthenticationError
        if key.last_used_at is None or now - key.last_used_at >= USE_INTERVAL:
            await self._api_keys.mark_used(key, now)
        if scope not in key.scopes:
            message = f"The API key lacks the scope {scope}."
            raise await self._events.refusal(message, owner.id, key.id)
        return Identity(owner.id, owner.role)


def _digest(secret: str) -> str:
    # A plain digest is enough: the secret is random, so it cannot be guessed.
    return hashlib.sha256(secret.encode()).hexdigest()
