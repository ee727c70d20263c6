"""HTTP routes of users."""

from fastapi import APIRouter, Depends, Request, Response

from ..core.http.etag import LOCATION
from ..core.http.pagination import Page, PageRequestDep
from ..core.http.problems import problem_responses
from ..core.rate_limits.middleware import rate_limit
from .dependencies import AdminUser, CurrentUser, UserServiceDep, forget_identity
from .models import User
from .schemas import PasswordChange, UserCreate, UserRead, UserUpdate

router = APIRouter(prefix="/users", tags=["users"])


@router.post(
    "",
    status_code=201,
    response_model=UserRead,
    responses={201: {"headers": LOCATION}, **problem_responses(409)},
    dependencies=[rate_limit("registration")],
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
    """List all users, newest first; for admins."""
    return page.respond(await service.list_newest(page), UserRead)


@router.get("/me", response_model=UserRead)
async def read_me(user: CurrentUser) -> User:
    """Return your account."""
    return user


@router.patch("/me", response_model=UserRead)
async def update_me(
    data: UserUpdate, user: CurrentUser, service: UserServiceDep
) -> User:
    """Change your account."""
    return await service.update(user, data)


@router.put(
    "/me/password",
    status_code=204,
    responses=problem_responses(403),
    dependencies=[Depends(forget_identity)],
)
async def change_password(
    data: PasswordChange, user: CurrentUser, service: UserServiceDep
) -> None:
    """Set a new password; every token issued before stops working."""
    await service.change_password(user, data)


@router.delete("/me", status_code=204, dependencies=[Depends(forget_identity)])
async def deactivate_me(user: CurrentUser, service: UserServiceDep) -> None:
    """Close your account."""
    await service.deactivate(user)
