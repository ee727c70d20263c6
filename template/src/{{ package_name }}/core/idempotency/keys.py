"""Creations that can be repeated safely, because the first answer is kept.

The key is stored in the transaction of what it creates: both are there or neither
is. So a request that fails leaves the key free, and of many that come at once, one
creates while the others wait in the database for its answer.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import StringConstraints
from sqlalchemy import delete, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from ..database.dialect import upsert
from ..database.session import utc_now
from ..errors import InvalidContentError, InvalidRequestError
from ..http.creation import Creation
from ..http.schemas import RecordSchema
from ..http.versions import VersionedRecord
from ..settings import ServiceSettings
from .models import IdempotencyKey

HEADER = "Idempotency-Key"

_Key = Annotated[
    str, StringConstraints(min_length=1, max_length=255, pattern=r"^[!-~]+$")
]
IdempotencyKeyHeader = Annotated[
    _Key | None,
    Header(
        alias=HEADER,
        description=(
            "Your own name for this creation, such as a UUID. Sent again with the "
            "same content, it brings back the first answer and creates nothing."
        ),
    ),
]

KEPT_HEADERS = ("Content-Type", "Location", "ETag")
"""What the first answer says of what was made; the rest is said anew each time."""

EXPIRED_AT_ONCE = 100
"""How many expired keys one creation removes, so that none takes long."""


class KeyReusedError(InvalidContentError):
    """The key came with one request before, and now with another."""

    code = "idempotency_key_reused"


class IdempotentCreation(Creation):
    """A creation that the caller may repeat under one key."""

    def __init__(
        self, request: Request, session: AsyncSession, caller: str, key: str | None
    ) -> None:
        """Take who asks for it, and under which key.

        Args:
            request: The request for it.
            session: The one whose transaction stores what is made.
            caller: Whose key it is, at most 64 characters.
            key: The key; without one, the creation is an ordinary one.

        Raises:
            InvalidRequestError: the request carries several keys.
        """
        super().__init__(request)
        if len(request.headers.getlist(HEADER)) > 1:
            message = f"{HEADER} must be sent once."
            raise InvalidRequestError(message)
        settings: ServiceSettings = request.state["settings"]
        self._lifetime = timedelta(hours=settings.idempotency_hours)
        self._session = session
        self._caller = caller
        self._key = key

    async def run(
        self,
        make: Callable[[], Awaitable[VersionedRecord]],
        schema: type[RecordSchema],
    ) -> Response:
        """Make the record, or give the first answer again.

        Raises:
            KeyReusedError: the key belongs to another request.
        """
        if self._key is None:
            return await super().run(make, schema)
        fingerprint = await self._fingerprint()
        if not await self._claim(fingerprint):
            return await self._repeat(fingerprint)
        await self._remove_expired()
        response = await super().run(make, schema)
        await self._keep(response)
        return response

    async def _claim(self, fingerprint: str) -> bool:
        # Where the same key is being claimed, this waits for that transaction's end.
        now = utc_now()
        row = {
            "fingerprint": fingerprint,
            "expires_at": now + self._lifetime,
            "status": None,
            "headers": None,
            "body": None,
        }
        claim = (
            upsert(IdempotencyKey)
            .values(caller=self._caller, key=self._key, **row)
            .on_conflict_do_update(
                index_elements=[IdempotencyKey.caller, IdempotencyKey.key],
                set_=row,
                # A key without an answer is left by a refusal that kept its changes.
                where=or_(
                    IdempotencyKey.expires_at <= now, IdempotencyKey.status.is_(None)
                ),
            )
            .returning(IdempotencyKey.key)
        )
        return await self._session.scalar(claim) is not None

    async def _repeat(self, fingerprint: str) -> Response:
        row = (self._caller, self._key)
        kept = await self._session.get_one(IdempotencyKey, row)
        if kept.fingerprint != fingerprint:
            message = f"This {HEADER} was sent with another request: take a new one."
            raise KeyReusedError(message)
        return Response(kept.body, kept.status or 0, kept.headers)

    async def _keep(self, response: Response) -> None:
        await self._session.execute(
            update(IdempotencyKey)
            .where(
                IdempotencyKey.caller == self._caller, IdempotencyKey.key == self._key
            )
            .values(
                status=response.status_code,
                headers={name: response.headers[name] for name in KEPT_HEADERS},
                body=bytes(response.body).decode(),
            )
            .execution_options(synchronize_session=False)
        )

    async def _remove_expired(self) -> None:
        primary_key = (IdempotencyKey.caller, IdempotencyKey.key)
        expired = (
            select(*primary_key)
            .where(IdempotencyKey.expires_at <= utc_now())
            .limit(EXPIRED_AT_ONCE)
            # Two that clean up at once must not wait for each other.
            .with_for_update(skip_locked=True)
        )
        await self._session.execute(
            delete(IdempotencyKey)
            .where(tuple_(*primary_key).in_(expired))
            .execution_options(synchronize_session=False)
        )

    async def _fingerprint(self) -> str:
        request = self._request
        digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
        digest.update(await request.body())
        return digest.hexdigest()
