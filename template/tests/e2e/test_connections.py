"""Connections stay open for longer than what is in front of the service keeps them."""

from collections.abc import Mapping
from http.client import HTTPConnection
from time import monotonic
from urllib.parse import urlsplit

from .serving import serving

SECONDS_TO_WAIT = 60


def test_idle_connection_is_kept_for_as_long_as_the_setting_says(
    environment: Mapping[str, str],
) -> None:
    # A little more than the five seconds that the server would take by itself.
    with serving("serve", {**environment, "KEEP_ALIVE_SECONDS": "6"}) as (_, url):
        connection = HTTPConnection(urlsplit(url).netloc, timeout=SECONDS_TO_WAIT)
        started = monotonic()
        connection.request("GET", "/health")
        connection.getresponse().read()

        assert connection.sock.recv(1) == b""
        assert monotonic() - started >= 6
        connection.close()
