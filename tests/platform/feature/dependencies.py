"""Trials of the caller, and decorators of the parts that the service has."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Header, Request

from order_service.core.errors import NotFoundError

from ..service import has

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


async def get_caller(
    caller: Annotated[str, Header(alias="X-Caller", include_in_schema=False)] = "anyone",
) -> str:
    """Return the name of the caller."""
    return caller


Caller = Annotated[str, Depends(get_caller)]

if has("database"):
    from order_service.core.database.session import SessionDep

    from .stored import StoredTrials

    async def get_trials(session: SessionDep, caller: Caller) -> StoredTrials:
        """Return the caller's trials in this request's transaction."""
        return StoredTrials(session, caller)
else:
    from .memory import MemoryTrials

    async def get_trials(request: Request, caller: Caller) -> MemoryTrials:  # type: ignore[misc]
        """Return the caller's trials in this application's memory."""
        state = request.app.state
        if not hasattr(state, "trials"):
            state.trials = {}
        return MemoryTrials(state.trials, caller)


TrialsDep = Annotated[Any, Depends(get_trials)]


async def get_trial(trial_id: UUID, trials: TrialsDep) -> Any:  # noqa: ANN401 - A row of any store.
    """Return the trial that the path names."""
    trial = await trials.get(trial_id)
    if trial is None:
        message = "There is no such trial."
        raise NotFoundError(message)
    return trial


def unchanged(endpoint: Endpoint) -> Endpoint:
    """Stand for the decorator of a part that the service does not have."""
    return endpoint


idempotent: Callable[[Any], Any] = unchanged
if_match: Callable[[Any], Any] = unchanged
cached: Callable[[Any], Any] = unchanged
invalidating: Callable[[Any], Any] = unchanged

if has("idempotency_keys"):
    from order_service.core.idempotency import keys

    idempotent = keys.idempotent(get_caller)

if has("conditional_writes"):
    from order_service.core.conditional_writes import if_match as conditions

    if_match = conditions.if_match(get_trial)

if has("read_cache"):
    from order_service.core.cache.routes import RecordCache

    _cache = RecordCache("trials", "trial_id", get_caller)
    cached, invalidating = _cache.read, _cache.invalidate
