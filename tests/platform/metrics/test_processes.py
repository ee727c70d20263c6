"""The metrics of several processes are summed, and those of killed ones are forgotten."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx2
import pytest

from order_service.settings import Settings

from ..prometheus_text import series_of
from ..serving import Served, environment_of, free_port, process_ids, serving
from ..waiting import wait_in_thread_until

NEEDS = {"processes"}

REQUESTS = 40
WAITING = 4

METRICS_PORT = free_port()


def read() -> dict[tuple[str, str], float]:
    """Read all metrics, by name and endpoint."""
    response = httpx2.get(f"http://127.0.0.1:{METRICS_PORT}/metrics").raise_for_status()
    return {
        (each.name, each.labels.get("endpoint", "")): each.value
        for each in series_of(response.text)
    }


def requests_in_flight() -> float:
    """Read how many requests wait for their response, in all processes."""
    return read()["http_requests_in_flight", ""]


def unmatched_requests() -> float:
    """Read how many requests matched no route, in all processes."""
    return read().get(("http_requests_total", "unmatched"), 0)


def test_processes_are_summed_and_killed_ones_forgotten(module_settings: Settings) -> None:
    environment = environment_of(module_settings, PROCESSES="2", METRICS_PORT=str(METRICS_PORT))
    with serving("serve", environment) as served:
        assert httpx2.get(f"{served.url}/metrics").status_code == 404
        check_metrics_of_processes(served)
        served.stop()

    assert served.process.returncode == 0
    with pytest.raises(httpx2.ConnectError):
        read()


def check_metrics_of_processes(served: Served) -> None:
    """Send requests to both processes, kill them, and read the metrics all the while."""
    processes = process_ids(served.url)
    before = unmatched_requests()
    for number in range(REQUESTS):
        # A connection each, for any of the processes to accept.
        httpx2.get(f"{served.url}/nowhere/{number}")
    readings = {unmatched_requests() for _ in range(5)}

    with ThreadPoolExecutor(WAITING) as pool:
        url = f"{served.url}/planted/wait/60"
        waiting = [pool.submit(httpx2.get, url, timeout=60) for _ in range(WAITING)]
        wait_in_thread_until(lambda: requests_in_flight() == WAITING)
        for process in processes:
            os.kill(process, signal.SIGKILL)
        for request in waiting:
            with pytest.raises(httpx2.TransportError):
                request.result()

    def is_back() -> bool:
        with suppress(httpx2.TransportError):
            return httpx2.get(f"{served.url}/health").is_success
        return False

    wait_in_thread_until(is_back)
    assert readings == {before + REQUESTS}
    assert unmatched_requests() == before + REQUESTS
    assert requests_in_flight() == 0
