"""Settings of calls to other services."""

from pydantic import Field

from ..configuration import Configuration


class HttpClientSettings(Configuration):
    """The limits of calls to other services."""

    http_seconds: float = Field(default=10, gt=0)
    """The deadline of a call to another service, retries included."""

    http_max_connections: int = Field(default=50, ge=1)
    """How many connections to other services may be open; further calls wait for one."""

    http_max_response_bytes: int = Field(default=10_485_760, ge=1)
    """The largest response that is accepted from another service."""

    http_proxy_from_environment: bool = False
    """Whether those calls use the proxy that HTTP_PROXY or HTTPS_PROXY names."""
