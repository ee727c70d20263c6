"""The rules for registering and for one's own account."""

from ..core.errors import ConflictError, ForbiddenError
from ..core.passwords import Passwords
from .models import User
from .repository import UserRepository
from .schemas import PasswordChange, UserCreate, UserUpdate


class UserService:
    """Registers users and lets them change their own account."""

    def __init__(self, users: UserRepository, passwords: Passwords) -> None:
        """Take what the rules work on."""
        self._users = users
        self._passwords = passwords

    async def register(self, data: UserCreate) -> User:
        """Add a user; the address must be new.

        Raises:
            ConflictError: somebody has registered with this address.
        """
        if await self._users.get_by_email(data.email):
            message = "This e-mail address is already registered."
            raise ConflictError(message)
        return await self._users.add(
            User(
                email=data.email,
                full_name=data.full_name,
                password_hash=await self._passwords.hash(data.password),
            )
        )

    async def update(self, user: User, data: UserUpdate) -> User:
        """Change what was given and keep the rest."""
        for name, content in data.model_dump(exclude_unset=True).items():
            setattr(user, name, content)
        return await self._users.save(user)

    async def change_password(self, user: User, data: PasswordChange) -> None:
        """Set a new password, and sign the user out everywhere.

        Raises:
            ForbiddenError: the present password is not right.
        """
        is_right, _ = await self._passwords.verify(
            data.current_password, user.password_hash
        )
        if not is_right:
            message = "The current password is not right."
            raise ForbiddenError(message)
        user.password_hash = await self._passwords.hash(data.new_password)
        user.credentials_version += 1
        await self._users.save(user)

    async def deactivate(self, user: User) -> None:
        """Close the account: its tokens stop working and nobody can sign in."""
        user.is_active = False
        user.credentials_version += 1
        await self._users.save(user)
