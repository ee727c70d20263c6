"""Who a request comes from, as limits count it."""

import ipaddress
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import Scope

IPV6_PREFIX = 64
"""A single IPv6 customer has at least so many addresses to choose from."""

UNKNOWN = "unknown"
"""Everybody whose address is not one: they share one count, so nobody escapes it."""


def client_address(scope: Scope) -> str:
    """Give the client's address; of an IPv6 address, the network.

    It is the connection's. The server puts the address from ``X-Forwarded-For`` in
    its place, but only for connections from FORWARDED_ALLOW_IPS: from anybody else
    that header is a claim, and is not read here either.
    """
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(client[0] if client else "")
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    network = ipaddress.IPv6Network((int(address), IPV6_PREFIX), strict=False)
    return str(network)


async def get_client_address(request: Request) -> str:
    """Give the address to a route that asks for it."""
    return client_address(request.scope)


ClientAddressDep = Annotated[str, Depends(get_client_address)]
