"""API keys over HTTP; only for signed-in users: no key can manage keys."""

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
    """Create an API key. Only this response contains its secret."""
    key, text = await service.create(user, data)
    response.headers["Cache-Control"] = "no-store"
    return ApiKeyCreated(**ApiKeyRead.model_validate(key).model_dump(), key=text)


@router.get("")
async def list_api_keys(
    page: PageRequestDep, user: CurrentUser, service: ApiKeyServiceDep
) -> Page[ApiKeyRead]:
    """List your API keys, newest first, including revoked ones."""
    return page.respond(await service.list_newest(user, page), ApiKeyRead)


@router.delete(
    "/{key_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problem_responses(404),
)
async def revoke_api_key(
    key_id: UUID, user: CurrentUser, service: ApiKeyServiceDep
) -> None:
    """Revoke an API key. From then on, requests with it are refused."""
    await service.revoke(user, key_id)
