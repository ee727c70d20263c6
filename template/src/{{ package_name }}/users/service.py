"""The rules for registering and for one's own account."""

from ..audit.models import SecurityEvent
from ..audit.service import AuditLog
from ..core.errors import ConflictError
from ..core.pagination import Cursor, PageRequest
from ..core.passwords import Passwords
from .models import Role, User
from .repository import UserRepository
from .schemas import PasswordChange, UserCreate, UserUpdate


class UserService:
    """Registers users and lets them change their own account."""

    def __init__(
        self, users: UserRepository, passwords: Passwords, audit: AuditLog
    ) -> None:
        """Take what the rules work on."""
        self._users = users
        self._passwords = passwords
        self._audit = audit

    async def register(self, data: UserCreate, role: Role = Role.USER) -> User:
        """Add a user; the address must be new.

        Raises:
            ConflictError: somebody has registered with this address.
        """
        if await self._users.get_by_email(data.email):
            message = "This e-mail address is already registered."
            raise ConflictError(message)
        user = await self._users.add(
            User(
                email=data.email,
                full_name=data.full_name,
                password_hash=await self._passwords.hash(data.password),
                role=role,
            )
        )
        await self._audit.record(SecurityEvent.REGISTERED, user.id)
        return user

    async def read_page(self, page: PageRequest) -> tuple[list[User], str | None]:
        """Return some users, the newest first, and where the next ones start."""
        rows = await self._users.list_newest(page.limit + 1, page.after)
        return page.cut(rows, lambda user: Cursor(user.created_at, user.id))

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
            raise await self._audit.refusal(message, user.id)
        user.password_hash = await self._passwords.hash(data.new_password)
        user.credentials_version += 1
        await self._users.save(user)
        await self._audit.record(SecurityEvent.PASSWORD_CHANGED, user.id)

    async def deactivate(self, user: User) -> None:
        """Close the account: its tokens and keys stop working for good."""
        user.is_active = False
        user.credentials_version += 1
        await self._users.save(user)
        await self._audit.record(SecurityEvent.DEACTIVATED, user.id)
