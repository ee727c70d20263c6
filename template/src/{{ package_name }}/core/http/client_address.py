"""The address of a request's client, as limits count it."""

import ipaddress
from functools import lru_cache
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import Scope

IPV6_PREFIX = 64
"""A single IPv6 customer has at least a network of this size to choose from."""

UNKNOWN = "unknown"
"""All clients without a valid address: they share one count."""


def client_address(scope: Scope) -> str:
    """Return the client's address; of an IPv6 address, the network.

    It is the connection's address. The server replaces it by the one in
    ``X-Forwarded-For``, but only for connections from FORWARDED_ALLOW_IPS: from other
    clients that header is a claim, and is not read here either.
    """
    client = scope.get("client")
    return _counted_as(client[0] if client else "")


@lru_cache(maxsize=4096)
def _counted_as(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False))
        address = address.ipv4_mapped
    return str(address)


async def get_client_address(request: Request) -> str:
    """Return the client's address."""
    return client_address(request.scope)


ClientAddressDep = Annotated[str, Depends(get_client_address)]
