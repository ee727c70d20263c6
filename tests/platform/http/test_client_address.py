"""The client address that limits count by."""

import pytest

from order_service.core.http.client_address import client_address


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not an address", "unknown"),
        ("", "unknown"),
    ],
)
def test_ipv6_network_counts_as_one_client(address: str, counted: str) -> None:
    assert client_address({"type": "http", "client": (address, 1)}) == counted


def test_connection_without_an_address_is_unknown() -> None:
    assert client_address({"type": "http", "client": None}) == "unknown"
