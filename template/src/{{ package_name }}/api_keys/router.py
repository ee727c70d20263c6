"""API keys over HTTP; only a signed-in person gets to them, never a key."""

from uuid import UUID

from fastapi import APIRouter, Response, status

from ..core.http.pagination import Page, PageRequestDep
from ..core.http.problems import problem_responses
from ..users.dependencies import CurrentUser
from .dependencies import ApiKeyServiceDep
from .schemas import ApiKeyCreate, ApiKeyCreated, ApiKeyRead

router = APIRouter(prefix="/api-keys", tags=["api-keys"])


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_api_key(
    response: Response,
    data: ApiKeyCreate,
    user: CurrentUser,
    service: ApiKeyServiceDep,
) -> ApiKeyCreated:
    """Make a key for a machine. The answer is the only place where it can be read."""
    key, text = await service.create(user, data)
    response.headers["Cache-Control"] = "no-store"
    return ApiKeyCreated(**ApiKeyRead.model_validate(key).model_dump(), key=text)


@router.get("")
async def list_api_keys(
    page: PageRequestDep, user: CurrentUser, service: ApiKeyServiceDep
) -> Page[ApiKeyRead]:
    """List one's own keys, the newest first, revoked ones included."""
    keys, next_cursor = await service.read_page(user, page)
    return Page[ApiKeyRead](
        items=[ApiKeyRead.model_validate(key) for key in keys],
        limit=page.limit,
        next_cursor=next_cursor,
    )


@router.delete(
    "/{key_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problem_responses(404),
)
async def revoke_api_key(
    key_id: UUID, user: CurrentUser, service: ApiKeyServiceDep
) -> None:
    """Revoke a key: from now on nobody gets in with it."""
    await service.revoke(user, key_id)
