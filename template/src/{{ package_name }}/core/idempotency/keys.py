"""Idempotent creations: a retry with the same key gets the stored first response.

The key is stored in the transaction of what it creates: both are committed or neither
is. So a request that fails leaves the key free, and of many concurrent requests one
creates while the others wait in the database for its response.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel, StringConstraints
from sqlalchemy import delete, or_, select, tuple_, update

from ..database.dialect import upsert
from ..database.models import utc_now
from ..database.session import SessionDep
from ..errors import InvalidContentError, InvalidRequestError
from ..http.endpoints import wraps_endpoint
from .models import IdempotencyKey
from .settings import IdempotencySettings

HEADER = "Idempotency-Key"

Key = Annotated[
    str, StringConstraints(min_length=1, max_length=255, pattern=r"^[!-~]+$")
]
KeyHeader = Annotated[
    Key | None,
    Header(
        alias=HEADER,
        description=(
            "Your own name for this creation, such as a UUID. A retry with the same key "
            "and content returns the first response and creates nothing."
        ),
    ),
]

STORED_HEADERS = ("Location", "ETag")
"""Headers that describe what was created; all others are set anew for each response."""

MAX_REMOVED = 100
"""How many expired keys one creation removes, so that none takes long."""


class KeyReusedError(InvalidContentError):
    """The key was used with another request before."""

    code = "idempotency_key_reused"


class CreationRequest:
    """A request that creates a record, perhaps under a key."""

    def __init__(
        self,
        request: Request,
        response: Response,
        session: SessionDep,
        key: KeyHeader = None,
    ) -> None:
        """Take the transaction that stores both the record and the key.

        Raises:
            InvalidRequestError: the request has several keys.
        """
        if len(request.headers.getlist(HEADER)) > 1:
            message = f"{HEADER} must be sent once."
            raise InvalidRequestError(message)
        settings: IdempotencySettings = request.state["settings"]
        self.key = key
        self._lifetime = timedelta(hours=settings.idempotency_hours)
        self._request = request
        self._response = response
        self._session = session

    async def claim(self, caller: str) -> Response | None:
        """Claim the key for this request, or return the response that is stored for it.

        Raises:
            KeyReusedError: the key belongs to another request.
        """
        fingerprint = await self._fingerprint()
        row = (caller, self.key)
        if not await self._insert(row, fingerprint):
            stored = await self._session.get_one(IdempotencyKey, row)
            if stored.fingerprint != fingerprint:
                message = f"This {HEADER} was sent with another request: use a new one."
                raise KeyReusedError(message)
            return Response(stored.body, stored.status or 0, stored.headers)
        await self._remove_expired()
        return None

    async def store(self, caller: str, content: BaseModel) -> Response:
        """Store the response under the key, and return it."""
        headers = self._response.headers
        response = Response(
            content.model_dump_json(),
            self._response.status_code or HTTPStatus.CREATED,
            headers,
            media_type="application/json",
        )
        kept = {name: headers[name] for name in STORED_HEADERS if name in headers}
        await self._session.execute(
            update(IdempotencyKey)
            .where(IdempotencyKey.caller == caller, IdempotencyKey.key == self.key)
            .values(
                status=response.status_code,
                headers=kept | {"Content-Type": response.headers["Content-Type"]},
                body=bytes(response.body).decode(),
            )
            .execution_options(synchronize_session=False)
        )
        return response

    async def _insert(self, row: tuple[str, str | None], fingerprint: str) -> bool:
        # While another transaction claims the same key, this waits for its end.
        now = utc_now()
        caller, key = row
        content = {
            "fingerprint": fingerprint,
            "expires_at": now + self._lifetime,
            "status": None,
            "headers": None,
            "body": None,
        }
        claim = (
            upsert(IdempotencyKey)
            .values(caller=caller, key=key, **content)
            .on_conflict_do_update(
                index_elements=[IdempotencyKey.caller, IdempotencyKey.key],
                set_=content,
                # An error that kept its changes leaves a key without a response.
                where=or_(
                    IdempotencyKey.expires_at <= now, IdempotencyKey.status.is_(None)
                ),
            )
            .returning(IdempotencyKey.key)
        )
        return await self._session.scalar(claim) is not None

    async def _remove_expired(self) -> None:
        primary_key = (IdempotencyKey.caller, IdempotencyKey.key)
        expired = (
            select(*primary_key)
            .where(IdempotencyKey.expires_at <= utc_now())
            .limit(MAX_REMOVED)
            # Two requests that clean up at once must not wait for each other.
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


async def any_caller() -> str:
    """Return the one caller of a service without sign-in: all clients share keys."""
    return ""


def idempotent(
    get_caller: Callable[..., Awaitable[object]] = any_caller,
) -> Callable[[Callable[..., Awaitable[BaseModel]]], Callable[..., Any]]:
    """Accept an ``Idempotency-Key`` on a route that creates a record.

    Put it above decorators that set headers, so that it stores them with the response.

    Args:
        get_caller: The dependency that returns the owner of the key; as text, at most
            64 characters. The same key of another caller is another key.
    """

    def decorate(endpoint: Callable[..., Awaitable[BaseModel]]) -> Callable[..., Any]:
        @wraps_endpoint(endpoint)
        async def create(
            *,
            creation: Annotated[CreationRequest, Depends()],
            key_owner: Annotated[object, Depends(get_caller)],
            **arguments: object,
        ) -> BaseModel | Response:
            if creation.key is None:
                return await endpoint(**arguments)
            caller = str(key_owner)
            replay = await creation.claim(caller)
            if replay is not None:
                return replay
            return await creation.store(caller, await endpoint(**arguments))

        return create

    return decorate
