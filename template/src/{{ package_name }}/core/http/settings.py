"""Settings of the HTTP server and of what it accepts."""

from typing import Self

from pydantic import Field, model_validator

from ..configuration import CommaSeparated, Configuration


class HttpSettings(Configuration):
    """Where the service listens, and which requests it accepts."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 inside a container."""

    port: int = Field(default=8000, ge=1, le=65535)
    """The port to listen on."""

    forwarded_allow_ips: str = ""
    """The proxies whose X-Forwarded-For is trusted: addresses, separated by commas."""

    keep_alive_seconds: int = Field(default=75, ge=1)
    """How long a connection may be idle; longer than the proxy in front keeps it.

    Otherwise a proxy or load balancer now and then sends a request over a connection
    that is being closed, and responds 502 in the service's name. Many wait 60 seconds.
    """

    shutdown_seconds: int = Field(default=25, ge=1)
    """How long running requests may take to finish once a stop is requested."""

    health_check_seconds: float = Field(default=2, gt=0)
    """The timeout of each readiness check."""

    slow_request_seconds: float = Field(default=1.0, gt=0)
    """Requests that take longer get a warning besides their line in the log."""

    allowed_hosts: CommaSeparated = Field(default=["localhost", "127.0.0.1", "[::1]"])
    """The Host headers to accept, separated by commas; ``*`` accepts any."""

    cors_origins: CommaSeparated = Field(default=[])
    """The web origins whose pages may call the API, separated by commas."""

    cors_allow_credentials: bool = False
    """Whether those pages may send cookies and HTTP credentials."""

    hsts_seconds: int = Field(default=0, ge=0)
    """How long browsers must insist on HTTPS; 0 while plain HTTP is still served."""

    max_body_bytes: int = Field(default=1_048_576, ge=1)
    """The largest request body."""

    max_concurrent_requests: int = Field(default=1000, ge=1)
    """How many requests may run or wait in one process; further ones get 503."""

    docs_enabled: bool = True
    """Whether /docs, /redoc and /openapi.json are served."""

    @model_validator(mode="after")
    def refuse_open_cors(self) -> Self:
        """Refuse to let every page of the web act with its visitors' credentials."""
        if self.cors_allow_credentials and "*" in self.cors_origins:
            message = (
                "CORS_ALLOW_CREDENTIALS cannot be combined with CORS_ORIGINS=*: "
                "name the origins"
            )
            raise ValueError(message)
        return self
