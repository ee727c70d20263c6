"""Several processes behind one port start, serve and end as one does."""

import os
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import httpx2
import pytest

from .extending import extended, pids
from .serving import serving

SECONDS_TO_STOP = 60


@pytest.fixture
def several(environment: Mapping[str, str], tmp_path: Path) -> dict[str, str]:
    """Give the settings of a service of two processes."""
    return {**extended(environment, tmp_path), "PROCESSES": "2"}


def is_running(pid: int) -> bool:
    """Say whether there is a process that has not ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or ") Z " not in status.read_text()
    return False


def wait_until_gone(processes: set[int]) -> None:
    """Wait until none of the processes runs any more."""
    give_up = monotonic() + SECONDS_TO_STOP
    while any(map(is_running, processes)):
        assert monotonic() < give_up, processes
        sleep(0.05)


def test_process_that_dies_is_replaced_and_a_stop_lets_requests_finish(
    several: dict[str, str],
) -> None:
    with serving("serve", several) as (process, url), ThreadPoolExecutor() as pool:
        victim = min(pids(url))
        os.kill(victim, signal.SIGKILL)
        wait_until_gone({victim})
        workers = pids(url)
        with httpx2.Client(base_url=url, timeout=SECONDS_TO_STOP) as client:
            waiting = pool.submit(client.get, "/planted/wait/1.5")
            sleep(0.5)  # The request has to be there; nothing tells from outside.
            process.send_signal(signal.SIGTERM)
            answer = waiting.result()
        output, _ = process.communicate(timeout=SECONDS_TO_STOP)

    assert answer.status_code == 200
    assert process.returncode == 0, output
    assert victim not in workers
    assert not any(map(is_running, workers))


def test_no_process_outlives_the_one_that_started_it(several: dict[str, str]) -> None:
    with serving("serve", several) as (process, url):
        workers = pids(url)
        process.kill()
        wait_until_gone(workers)

        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{url}/health")
