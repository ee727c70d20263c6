"""Several processes behind one port serve as one: they share state and are replaced."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx2
import pytest

from order_service.settings import Settings

from ..feature import TRIALS
from ..serving import Served, environment_of, process_ids, serving, wait_until_ended

REQUESTS = 20
ADDRESSES = count(1)


@pytest.fixture(scope="module")
def served(module_settings: Settings) -> Iterator[Served]:
    """Serve with two processes, behind a trusted proxy, ten requests an hour for each client."""
    environment = environment_of(
        module_settings,
        PROCESSES="2",
        RATE_LIMIT_DEFAULT="10/hour",
        FORWARDED_ALLOW_IPS="127.0.0.1",
    )
    with serving("serve", environment) as served:
        process_ids(served.url)
        yield served


def send(
    served: Served, method: str, path: str, body: dict[str, str], **headers: str
) -> list[httpx2.Response]:
    """Send one request many times at once, from new addresses."""

    def request(number: int) -> httpx2.Response:
        address = f"203.0.113.{number}"
        return served.request(method, path, body, X_Forwarded_For=address, **headers)

    with ThreadPoolExecutor(REQUESTS) as pool:
        return list(pool.map(request, [next(ADDRESSES) for _ in range(REQUESTS)]))


@pytest.mark.needs("idempotency_keys")
def test_one_key_creates_one_trial(served: Served) -> None:
    responses = send(
        served, "POST", TRIALS, {"name": "Lamp"}, Idempotency_Key="order-42", X_Caller="creator"
    )

    assert {response.status_code for response in responses} == {201}
    assert len({response.content for response in responses}) == 1
    assert len({response.headers["Location"] for response in responses}) == 1


@pytest.mark.needs("conditional_writes", "database")
def test_one_of_concurrent_writers_wins(served: Served) -> None:
    created = served.request("POST", TRIALS, {"name": "Lamp"})

    responses = send(served, "PATCH", created.headers["Location"], {"name": "Desk"}, If_Match='"1"')

    statuses = Counter(response.status_code for response in responses)
    assert statuses == {200: 1, 412: REQUESTS - 1}


@pytest.mark.needs("rate_limits", "redis")
def test_processes_share_rate_limits_in_redis(served: Served) -> None:
    statuses = Counter(
        served.get("/nowhere", X_Forwarded_For="192.0.2.7").status_code for _ in range(30)
    )

    assert statuses == {404: 10, 429: 20}


def test_dead_process_is_replaced(served: Served) -> None:
    victim = min(process_ids(served.url))

    os.kill(victim, signal.SIGKILL)
    wait_until_ended({victim})

    assert victim not in process_ids(served.url)


def test_no_process_outlives_a_killed_supervisor(module_settings: Settings) -> None:
    with serving("serve", environment_of(module_settings, PROCESSES="2")) as served:
        workers = process_ids(served.url)
        served.process.kill()
        wait_until_ended(workers)

        with pytest.raises(httpx2.ConnectError):
            served.get("/health")
