"""The rules for API keys: making, showing, revoking and using them."""

import hashlib
import hmac
import re
import secrets
from datetime import timedelta
from uuid import UUID

from ..audit.models import SecurityEvent
from ..audit.service import AuditLog
from ..core.database.session import utc_now
from ..core.errors import AuthenticationError, NotFoundError
from ..core.http.pagination import Cursor, PageRequest
from ..users.models import User
from .models import ApiKey
from .repository import ApiKeyRepository
from .schemas import ApiKeyCreate

PREFIX_BYTES = 6
SECRET_BYTES = 32

FORM = re.compile(r"(?P<prefix>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")
"""What these bytes look like in hexadecimal and in base64."""

USE_INTERVAL = timedelta(minutes=1)
"""How exactly the last use is known; noting every one would cost a write each."""


class ApiKeyService:
    """Looks after people's keys, and says who is asking with one."""

    def __init__(self, api_keys: ApiKeyRepository, audit: AuditLog) -> None:
        """Take what the rules work on."""
        self._api_keys = api_keys
        self._audit = audit

    async def create(self, owner: User, data: ApiKeyCreate) -> tuple[ApiKey, str]:
        """Make a key, and return it with the text that nobody can read again."""
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
        await self._audit.record(SecurityEvent.API_KEY_CREATED, owner.id, key.id)
        return key, f"{prefix}_{secret}"

    async def read_page(
        self, owner: User, page: PageRequest
    ) -> tuple[list[ApiKey], str | None]:
        """Return some of one's own keys, the newest first, and where to go on."""
        rows = await self._api_keys.list_newest(owner.id, page.limit + 1, page.after)
        return page.cut(rows, lambda key: Cursor(key.created_at, key.id))

    async def revoke(self, owner: User, key_id: UUID) -> None:
        """Make a key worthless; it stays in the list as revoked.

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
            await self._audit.record(SecurityEvent.API_KEY_REVOKED, owner.id, key.id)

    async def authenticate(self, text: str, scope: str) -> User:
        """Say for whom a key acts.

        Args:
            text: What came as the key.
            scope: What the key has to be allowed to do.

        Raises:
            AuthenticationError: it is no key, or neither it nor its owner may be
                used now; which of them cannot be told from the answer.
            ForbiddenError: the key is good and lacks the scope.
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
            raise await self._audit.refusal(message, owner.id, key.id)
        return owner


def _digest(secret: str) -> str:
    # A plain digest is enough: the secret is random, so there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()
