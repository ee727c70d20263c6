"""Beyond the limit, requests are refused at once instead of waiting in memory."""

import anyio
import httpx2
from fastapi import FastAPI

from order_service.main import create_app
from order_service.settings import Settings

from ..clients import client_of, running


async def test_requests_beyond_the_limit_are_refused_until_others_end(settings: Settings) -> None:
    app: FastAPI = create_app(settings.model_copy(update={"max_concurrent_requests": 2}))
    arrived, release = anyio.Semaphore(0), anyio.Event()

    @app.get("/slow")
    async def respond_later() -> str:
        arrived.release()
        await release.wait()
        return "done"

    statuses: list[int] = []

    async def send(client: httpx2.AsyncClient) -> None:
        statuses.append((await client.get("/slow")).status_code)

    async with running(app) as service, client_of(service) as client:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(send, client)
                await arrived.acquire()

            refused = await client.get("/slow")
            alive = await client.get("/health/live")
            release.set()
        after = await client.get("/slow")

    assert refused.status_code == 503
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["Retry-After"]
    assert refused.headers["X-Request-ID"]
    assert alive.status_code == 200
    assert [*statuses, after.status_code] == [200, 200, 200]
