"""The command ``serve``: connections, signals, the address of the client."""

import signal
from collections.abc import Iterator
from http.client import HTTPConnection
from time import monotonic
from urllib.parse import urlsplit

import pytest

from order_service.settings import Settings

from ..serving import Served, environment_of, serving

SECONDS_TO_WAIT = 60


@pytest.fixture(scope="module")
def strict(module_settings: Settings) -> Iterator[Served]:
    """Serve with a limit of five requests, a trusted proxy and a keep-alive of six seconds."""
    environment = environment_of(
        module_settings,
        RATE_LIMIT_DEFAULT="5/minute",
        FORWARDED_ALLOW_IPS="127.0.0.1",
        # Longer than the five seconds that are the default of the server.
        KEEP_ALIVE_SECONDS="6",
    )
    with serving("serve", environment) as served:
        yield served


def statuses_of(served: Served, count: int, forwarded_for: str) -> list[int]:
    """Send requests, each with another number in X-Forwarded-For."""
    return [
        served.get("/nowhere", X_Forwarded_For=forwarded_for.format(number=number)).status_code
        for number in range(count)
    ]


def test_idle_connection_stays_open_as_long_as_configured(strict: Served) -> None:
    connection = HTTPConnection(urlsplit(strict.url).netloc, timeout=SECONDS_TO_WAIT)
    started = monotonic()
    connection.request("GET", "/health")
    connection.getresponse().read()

    assert connection.sock.recv(1) == b""
    assert monotonic() - started >= 6
    connection.close()


@pytest.mark.needs("rate_limits")
def test_trusted_proxy_names_the_client(strict: Served) -> None:
    assert statuses_of(strict, 7, "198.51.100.{number}") == [404] * 7
    # The proxy appends the address that it saw; what comes before it is the client's claim.
    forged = statuses_of(strict, 7, "198.51.100.{number}, 203.0.113.9")
    assert forged == [404] * 5 + [429] * 2


@pytest.mark.needs("rate_limits")
def test_client_cannot_forge_its_address_and_a_signal_stops_the_service(
    module_settings: Settings,
) -> None:
    environment = environment_of(module_settings, RATE_LIMIT_DEFAULT="5/hour")

    with serving("serve", environment) as served:
        statuses = statuses_of(served, 7, "198.51.100.{number}")
        output = served.stop()

    assert statuses == [404] * 5 + [429] * 2
    assert served.process.returncode in {0, -signal.SIGTERM}
    assert "Traceback" not in output
