"""Users over HTTP."""

from fastapi import APIRouter, status

from ..core.problems import problem_responses
from .dependencies import CurrentUser, UserServiceDep
from .models import User
from .schemas import PasswordChange, UserCreate, UserRead, UserUpdate

router = APIRouter(prefix="/users", tags=["users"])


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=UserRead,
    responses=problem_responses(409),
)
async def register_user(data: UserCreate, service: UserServiceDep) -> User:
    """Register with an e-mail address that is not registered yet."""
    return await service.register(data)


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
