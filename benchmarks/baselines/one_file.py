"""One file with the service's own tables, queries, token check and user load.

It is what a careful team writes without a template: no pre-ping, a pool that does not
overflow, objects that stay readable after a commit. It reads the same database and
accepts the same tokens as the default service.
"""

import base64
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

import jwt
from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import DateTime, ForeignKey, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SECRET = os.environ["JWT_SECRET"]
NAME = "order-service"
CLAIMS = ["aud", "exp", "iat", "iss", "jti", "sub", "typ", "ver"]

app = FastAPI()
engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"),
    pool_size=20,
    max_overflow=0,
)
Sessions = async_sessionmaker(engine, expire_on_commit=False)
bearer = OAuth2PasswordBearer(tokenUrl="token")


def utc_now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utc_now)


class User(Base):
    __tablename__ = "users"

    email: Mapped[str]
    full_name: Mapped[str]
    password_hash: Mapped[str]
    role: Mapped[str]
    is_active: Mapped[bool]
    credentials_version: Mapped[int]


class Item(Base):
    __tablename__ = "items"

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    description: Mapped[str]
    price_cents: Mapped[int]


class Record(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created_at: datetime
    updated_at: datetime


class ItemRead(Record):
    name: str
    description: str
    price_cents: int


class UserRead(Record):
    email: str
    full_name: str
    role: str
    is_active: bool


class ItemWrite(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=120)
    description: str = Field(default="", max_length=5000)
    price_cents: int = Field(default=0, ge=0, le=2_147_483_647)


class Page(BaseModel):
    items: list[ItemRead]
    limit: int
    next_cursor: str | None


POSITION = TypeAdapter(tuple[datetime, UUID])


async def get_session() -> AsyncIterator[AsyncSession]:
    async with Sessions() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]


async def get_user(session: SessionDep, token: Annotated[str, Depends(bearer)]) -> User:
    try:
        claims = jwt.decode(
            token,
            SECRET,
            algorithms=["HS256"],
            issuer=NAME,
            audience=NAME,
            leeway=5,
            options={"require": CLAIMS},
        )
        user_id, version = UUID(claims["sub"]), int(claims["ver"])
    except (jwt.InvalidTokenError, ValueError) as error:
        raise HTTPException(401) from error
    user = await session.get(User, user_id)
    if user is None or not user.is_active or claims["typ"] != "access":
        raise HTTPException(401)
    if user.credentials_version != version:
        raise HTTPException(401)
    return user


UserDep = Annotated[User, Depends(get_user)]


@app.get("/health/live")
async def read_liveness() -> dict[str, str]:
    return {"status": "ok", "service": NAME, "version": "0.1.0"}


@app.get("/api/v1/users/me", response_model=UserRead)
async def read_me(user: UserDep) -> User:
    return user


@app.get("/api/v1/items/{item_id}", response_model=ItemRead)
async def read_item(item_id: UUID, session: SessionDep, user: UserDep) -> Item:
    item = await session.get(Item, item_id)
    if item is None or item.owner_id != user.id:
        raise HTTPException(404)
    return item


@app.get("/api/v1/items")
async def list_items(
    session: SessionDep,
    user: UserDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Page:
    newest = select(Item).order_by(Item.created_at.desc(), Item.id.desc())
    newest = newest.where(Item.owner_id == user.id)
    if cursor is not None:
        position = POSITION.validate_json(base64.urlsafe_b64decode(cursor + "=="))
        newest = newest.where(tuple_(Item.created_at, Item.id) < tuple_(*position))
    rows = (await session.scalars(newest.limit(limit + 1))).all()
    shown, following = [ItemRead.model_validate(row) for row in rows[:limit]], None
    if len(rows) > limit:
        document = POSITION.dump_json((shown[-1].created_at, shown[-1].id))
        following = base64.urlsafe_b64encode(document).decode().rstrip("=")
    return Page(items=shown, limit=limit, next_cursor=following)


@app.post("/api/v1/items", status_code=201, response_model=ItemRead)
async def create_item(data: ItemWrite, session: SessionDep, user: UserDep) -> Item:
    item = Item(**data.model_dump(), owner_id=user.id)
    session.add(item)
    await session.commit()
    return item
