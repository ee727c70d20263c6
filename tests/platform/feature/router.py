"""Trials over HTTP."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from order_service.core.http import etag
from order_service.core.http.pagination import Page, PageRequestDep
from order_service.core.http.problems import problem_responses

from ..service import has
from .dependencies import (
    TrialsDep,
    cached,
    get_trial,
    idempotent,
    if_match,
    invalidating,
)
from .schemas import TrialPatch, TrialRead, TrialWrite

router = APIRouter(
    prefix="/trials", tags=["trials"], responses=problem_responses(400, 422, 429, 500, 503)
)

ON_CHANGE = etag.ON_CHANGE | (problem_responses(412) if has("conditional_writes") else {})
ON_DELETE = etag.ON_DELETE | (problem_responses(412) if has("conditional_writes") else {})


@router.get("")
async def list_trials(page: PageRequestDep, trials: TrialsDep) -> Page[TrialRead]:
    """List trials, newest first."""
    return page.respond(await trials.list_newest(page.limit + 1, page.after), TrialRead)


@router.post("", status_code=201, responses=etag.ON_CREATE)
@idempotent
@etag.tagged
async def create_trial(
    data: TrialWrite, trials: TrialsDep, request: Request, response: Response
) -> TrialRead:
    """Create a trial."""
    trial = await trials.add(data.model_dump())
    response.headers["Location"] = f"{request.url.path}/{trial.id}"
    return TrialRead.model_validate(trial)


@router.get("/{trial_id}", responses=etag.ON_READ)
@etag.conditional_get
@cached
async def read_trial(trial_id: UUID, trials: TrialsDep) -> TrialRead:
    """Return one trial."""
    return TrialRead.model_validate(await get_trial(trial_id, trials))


@router.put("/{trial_id}", responses=ON_CHANGE)
@if_match
@etag.tagged
@invalidating
async def replace_trial(trial_id: UUID, data: TrialWrite, trials: TrialsDep) -> TrialRead:
    """Replace the content of a trial."""
    trial = await get_trial(trial_id, trials)
    return TrialRead.model_validate(await trials.update(trial, data.model_dump()))


@router.patch("/{trial_id}", responses=ON_CHANGE)
@if_match
@etag.tagged
@invalidating
async def update_trial(trial_id: UUID, data: TrialPatch, trials: TrialsDep) -> TrialRead:
    """Change some of the content of a trial."""
    trial = await get_trial(trial_id, trials)
    changes = data.model_dump(exclude_unset=True)
    return TrialRead.model_validate(await trials.update(trial, changes))


@router.delete("/{trial_id}", status_code=204, responses=ON_DELETE)
@if_match
@invalidating
async def delete_trial(trial_id: UUID, trials: TrialsDep) -> None:
    """Remove a trial."""
    await trials.delete(await get_trial(trial_id, trials))
