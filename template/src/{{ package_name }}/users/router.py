"""Users over HTTP."""

from fastapi import APIRouter, Request, Response, status

from ..core.http.creation import LOCATION
from ..core.http.pagination import Page, PageRequestDep
from ..core.http.problems import problem_responses
from ..core.rate_limits.middleware import limited
from .dependencies import AdminUser, CurrentUser, UserServiceDep
from .models import User
from .schemas import PasswordChange, UserCreate, UserRead, UserUpdate

router = APIRouter(prefix="/users", tags=["users"])


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=UserRead,
    responses={201: {"headers": LOCATION}, **problem_responses(409)},
    dependencies=[limited("registration")],
)
async def register_user(
    data: UserCreate, service: UserServiceDep, request: Request, response: Response
) -> User:
    """Register with an e-mail address that is not registered yet."""
    response.headers["Location"] = f"{request.url.path}/me"
    return await service.register(data)


@router.get("", responses=problem_responses(403))
async def list_users(
    page: PageRequestDep, _: AdminUser, service: UserServiceDep
) -> Page[UserRead]:
    """List everybody, the newest first; for admins."""
    users, next_cursor = await service.read_page(page)
    return Page[UserRead](
        items=[UserRead.model_validate(user) for user in users],
        limit=page.limit,
        next_cursor=next_cursor,
    )


@router.get("/me", response_model=UserRead)
async def read_me(user: CurrentUser) -> User:
    """Show one's own account."""
    return user


@router.patch("/me", response_model=UserRead)
async def update_me(
    data: UserUpdate, user: CurrentUser, service: UserServiceDep
) -> User:
    """Change one's own account."""
    return await service.update(user, data)


@router.put(
    "/me/password",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problem_responses(403),
)
async def change_password(
    data: PasswordChange, user: CurrentUser, service: UserServiceDep
) -> None:
    """Set a new password; every token issued before stops working."""
    await service.change_password(user, data)


@router.delete(
    "/me",
    status_code=status.HTTP_204_NO_CONTENT,
)
async def deactivate_me(user: CurrentUser, service: UserServiceDep) -> None:
    """Close one's own account."""
    await service.deactivate(user)
