"""The numbers of several processes that count together."""

import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from .extending import extended, pids
from .serving import free_port, serving

SECONDS_TO_WAIT = 60

UNMATCHED = ("http_requests_total", "unmatched")
IN_FLIGHT = ("http_requests_in_flight", "")
WAITING = 4

ONE_EACH = httpx2.Limits(max_keepalive_connections=0)
"""Every request is a connection of its own, for any process to take."""


def read(client: httpx2.Client) -> dict[tuple[str, str], float]:
    """Read the numbers, by their names and the endpoint they are about."""
    answer = client.get("/metrics").raise_for_status()
    return {
        (sample.name, sample.labels.get("endpoint", "")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def wait_until(is_so: Callable[[], bool]) -> None:
    """Look until it is so; while nobody answers, it is not."""
    give_up = monotonic() + SECONDS_TO_WAIT
    while True:
        with suppress(httpx2.TransportError):
            if is_so():
                return
        assert monotonic() < give_up
        sleep(0.05)


@pytest.fixture
def several(environment: Mapping[str, str], tmp_path: Path) -> dict[str, str]:
    """Give the settings of a service of two processes."""
    return {**extended(environment, tmp_path), "PROCESSES": "2"}


def test_processes_count_together_and_killed_ones_do_nothing_any_more(
    several: dict[str, str],
) -> None:
    with (
        serving("serve", several) as (process, url),
        httpx2.Client(base_url=url, limits=ONE_EACH) as client,
        ThreadPoolExecutor() as pool,
    ):
        workers = pids(url)
        for number in range(40):
            client.get(f"/nowhere/{number}")
        readings = {read(client)[UNMATCHED] for _ in range(20)}
        waiting = [
            pool.submit(httpx2.get, f"{url}/planted/wait/60") for _ in range(WAITING)
        ]
        wait_until(lambda: read(client)[IN_FLIGHT] == WAITING)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        for request in waiting:
            with pytest.raises(httpx2.TransportError):
                request.result()
        wait_until(lambda: client.get("/health").is_success)
        after = read(client)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS_TO_WAIT)

    assert readings == {40}
    assert after[IN_FLIGHT] == 0
    assert after[UNMATCHED] == 40
    assert process.returncode == 0


def test_processes_share_a_port_for_their_numbers(several: dict[str, str]) -> None:
    port = free_port()

    with (
        serving("serve", {**several, "METRICS_PORT": str(port)}) as (process, url),
        httpx2.Client(base_url=url, limits=ONE_EACH) as client,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}") as reader,
    ):
        pids(url)
        for _ in range(10):
            assert client.get("/metrics").status_code == 404
        assert read(reader)[UNMATCHED] == 10
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS_TO_WAIT)

    assert process.returncode == 0
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"http://127.0.0.1:{port}/metrics")
