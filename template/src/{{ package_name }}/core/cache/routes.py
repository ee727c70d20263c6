"""Caching of a route: decorators for the routes that return or change one record."""

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel

from ..database.session import SessionDep, call_after_commit
from ..http.endpoints import wraps_endpoint
from .reading import Cache

Schema = TypeVar("Schema", bound=BaseModel)
Result = TypeVar("Result")


async def get_cache(request: Request) -> Cache:
    """Return the cache of this process."""
    cache: Cache = request.state["cache"]
    return cache


async def any_reader() -> str:
    """Return the one scope of records that every client may read."""
    return ""


CacheDep = Annotated[Cache, Depends(get_cache)]


class RecordCache:
    """The cached responses of the routes of one kind of record."""

    def __init__(
        self,
        name: str,
        parameter: str,
        get_scope: Callable[..., Awaitable[object]] = any_reader,
    ) -> None:
        """Define the keys.

        Args:
            name: The kind of record.
            parameter: The path parameter of the routes that holds the record's id.
            get_scope: The dependency that returns whose records a request may read;
                content of one scope is never returned in another.
        """
        self._name = name
        self._parameter = parameter
        self._get_scope = get_scope

    def read(
        self, endpoint: Callable[..., Awaitable[Schema]]
    ) -> Callable[..., Awaitable[Schema]]:
        """Run the endpoint only if its response is not cached; cache it."""
        schema = inspect.signature(endpoint, eval_str=True).return_annotation

        @wraps_endpoint(endpoint)
        async def read(
            *,
            cache: CacheDep,
            cache_scope: Annotated[object, Depends(self._get_scope)],
            **arguments: object,
        ) -> Schema:
            key = self._key(cache_scope, arguments)
            content: Schema = await cache.read(
                key, schema, partial(endpoint, **arguments)
            )
            return content

        return read

    def invalidate(
        self, endpoint: Callable[..., Awaitable[Result]]
    ) -> Callable[..., Awaitable[Result]]:
        """Invalidate the cached response once the endpoint's change is committed."""

        @wraps_endpoint(endpoint)
        async def change(
            *,
            cache: CacheDep,
            cache_scope: Annotated[object, Depends(self._get_scope)],
            cache_session: SessionDep,
            **arguments: object,
        ) -> Result:
            key = self._key(cache_scope, arguments)
            call_after_commit(cache_session, partial(cache.invalidate, [key]))
            return await endpoint(**arguments)

        return change

    def _key(self, scope: object, arguments: dict[str, object]) -> str:
        return f"{self._name}:{scope}:{arguments[self._parameter]}"
