"""``poe bench`` compares a route with a bare one."""

import re
import subprocess
import sys
from pathlib import Path

from order_service.settings import Settings

from ..serving import environment_of

PRINTED = r"GET {path}: \d+\.\d\d times the CPU time of a bare route\n"


def bench(settings: Settings, directory: Path, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "order_service_dev.bench", "--rounds", "1", "--path", path],
        cwd=directory,
        env=environment_of(settings),
        capture_output=True,
        text=True,
        check=False,
    )


def test_bench_prints_the_ratio_and_nothing_else(settings: Settings, tmp_path: Path) -> None:
    done = bench(settings, tmp_path, "/health/ready?verbose")

    assert re.fullmatch(PRINTED.format(path=r"/health/ready\?verbose"), done.stdout), done


def test_bench_refuses_a_route_that_fails(settings: Settings, tmp_path: Path) -> None:
    done = bench(settings, tmp_path, "/nothing")

    assert done.returncode == 2
    assert "Invalid value for /nothing: 404" in done.stderr
