"""Password guessing is limited, and no client can lock out another user."""

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import httpx2
import pytest
from starlette.types import ASGIApp

from order_service.core.errors import AuthenticationError, UnavailableError
from order_service.core.security.login_guard import LoginGuard
from order_service.main import create_app
from order_service.settings import Settings

from ..accounts import PASSWORD, register
from ..clients import client_of, running

TOKEN = "/api/v1/auth/token"
ADA = "ada@example.com"
BOB = "bob@example.com"
WRONG = "a wrong guess"


@pytest.fixture
def few_failures(settings: Settings) -> Settings:
    """Return settings that allow three failures for an account, six for an address."""
    return settings.model_copy(
        update={
            "rate_limit_login_failures_per_account": "3/minute",
            "rate_limit_login_failures_per_address": "6/minute",
        }
    )


@pytest.fixture
async def guarded(few_failures: Settings) -> AsyncIterator[ASGIApp]:
    """Return a running service that Ada and Bob have registered with."""
    async with running(create_app(few_failures)) as service:
        async with client_of(service) as client:
            await register(client, ADA)
            await register(client, BOB)
        yield service


Attempt = Callable[..., Awaitable[httpx2.Response]]


@pytest.fixture
def attempt(guarded: ASGIApp) -> Attempt:
    """Return a way to try to sign in."""

    async def try_to_sign_in(
        email: str = ADA, password: str = WRONG, address: str = "192.0.2.1"
    ) -> httpx2.Response:
        async with client_of(guarded, address) as client:
            return await client.post(TOKEN, data={"username": email, "password": password})

    return try_to_sign_in


async def test_guessing_is_refused_with_retry_after(attempt: Attempt) -> None:
    statuses = [(await attempt()).status_code for _ in range(4)]
    refused = await attempt(password=PASSWORD)

    assert statuses == [401, 401, 401, 429]
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.json()["code"] == "too_many_requests"


async def test_spellings_of_an_account_share_one_limit(attempt: Attempt) -> None:
    spellings = [ADA, " Ada@example.com", "ADA@EXAMPLE.COM ", "ada@Example.com"]

    statuses = [(await attempt(spelling)).status_code for spelling in spellings]

    assert statuses == [401, 401, 401, 429]


async def test_owner_can_sign_in_from_another_address(attempt: Attempt) -> None:
    for _ in range(4):
        await attempt()

    assert (await attempt(password=PASSWORD, address="192.0.2.2")).status_code == 200


async def test_other_account_can_sign_in_from_the_same_address(attempt: Attempt) -> None:
    for _ in range(4):
        await attempt()

    assert (await attempt(BOB, PASSWORD)).status_code == 200


async def test_guessing_across_accounts_is_limited_by_address(attempt: Attempt) -> None:
    accounts = [f"{number}@example.com" for number in range(7)]

    statuses = [(await attempt(account)).status_code for account in accounts]

    assert statuses == [401] * 6 + [429]
    assert (await attempt(address="192.0.2.2")).status_code == 401


async def test_successes_are_not_counted(attempt: Attempt) -> None:
    statuses = [(await attempt(password=PASSWORD)).status_code for _ in range(9)]

    assert statuses == [200] * 9


async def test_success_resets_the_account_but_not_the_address(
    attempt: Attempt,
) -> None:
    for _ in range(2):
        for _ in range(2):
            await attempt(BOB)
        assert (await attempt(BOB, PASSWORD)).status_code == 200

    # Four failures so far: a success on the attacker's own account hides none.
    statuses = [(await attempt()).status_code for _ in range(3)]

    assert statuses == [401, 401, 429]


async def test_concurrent_guesses_do_not_exceed_the_limit(attempt: Attempt) -> None:
    statuses: list[int] = []

    async def guess() -> None:
        statuses.append((await attempt()).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(12):
            group.start_soon(guess)

    assert sorted(statuses) == [401] * 3 + [429] * 9


async def test_concurrent_successes_all_succeed(attempt: Attempt) -> None:
    statuses: list[int] = []

    async def sign_in() -> None:
        statuses.append((await attempt(password=PASSWORD)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(sign_in)

    assert statuses == [200] * 8


async def test_only_a_wrong_password_is_a_failure(few_failures: Settings) -> None:
    app = create_app(few_failures)
    async with app.router.lifespan_context(app) as state:
        guard: LoginGuard = dict(state or {})["login_guard"]
        for _ in range(9):
            with pytest.raises(UnavailableError):
                async with guard.attempt("192.0.2.1", ADA):
                    raise UnavailableError(ADA)
        for _ in range(3):
            with pytest.raises(AuthenticationError):
                async with guard.attempt("192.0.2.1", ADA):
                    raise AuthenticationError
