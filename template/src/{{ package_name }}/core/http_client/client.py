"""Calls to other services: one client for a process, and a deadline for each call.

Every failure is an ``UpstreamError``, so a route that does not handle it responds 502,
or 503 where a retry later may succeed. Nothing here logs or raises a URL: its query
contains secrets, and so does the path of many webhooks.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ssl import SSLContext
from time import perf_counter
from typing import Annotated

import anyio
import httpx2
import stamina
import structlog
from fastapi import Depends, FastAPI, Request
from structlog.contextvars import get_contextvars

from ..about import DISTRIBUTION, VERSION
from ..http.request_id import HEADER, SCOPE_KEY
from ..lifespan import State, add_lifespan
from .circuit_breaker import CircuitBreakers, CircuitOpenError, Outcome
from .errors import UpstreamError, UpstreamUnavailableError
from .settings import HttpClientSettings

log = structlog.stdlib.get_logger(__name__)

IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that are safe to retry, because the second request changes nothing."""

RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})
"""Responses after which a retry may succeed."""

ATTEMPTS = 3
CONNECT_SECONDS = 2.0
"""The timeout for connecting, and for a free connection."""


class HttpClient:
    """HTTP client with a deadline, retries for idempotent calls and circuit breakers."""

    def __init__(
        self, connections: httpx2.AsyncClient, settings: HttpClientSettings
    ) -> None:
        """Take the pool of connections."""
        self.connections = connections
        self._seconds = settings.http_seconds
        self._max_bytes = settings.http_max_response_bytes
        self._breakers = CircuitBreakers()
        # Each call has its own deadline, see `request`.
        self._retrying = stamina.AsyncRetryingCaller(
            attempts=ATTEMPTS,
            timeout=None,
            wait_initial=0.1,
            wait_max=2.0,
            wait_jitter=0.3,
        )

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        json: object = None,
        content: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        accept: Collection[int] = (),
    ) -> httpx2.Response:
        """Make a call and return its response, which is a success.

        It is retried with exponential backoff and jitter when there was no response or
        one that may pass; but only if its method is idempotent or it has a key.

        Args:
            method: The HTTP method.
            url: The URL, with ``http`` or ``https``.
            params: Additions to the URL's query.
            json: Content that is sent as JSON.
            content: Content that is sent unchanged.
            headers: Further headers.
            idempotency_key: Lets the other service recognise a retry.
            accept: Statuses besides the successes that the caller handles itself.

        Raises:
            UpstreamUnavailableError: there is no response in time, or one that may pass.
            UpstreamError: the response is no success, too large, or not readable.
            ValueError: the URL is not absolute, or has another scheme.
        """
        request = self.connections.build_request(
            method,
            _checked(url),
            params=params,
            json=json,
            content=content,
            headers=_headers(headers, idempotency_key),
        )
        may_retry = idempotency_key is not None or request.method in IDEMPOTENT_METHODS
        request.extensions["timeout"] = self._timeout(may_retry=may_retry).as_dict()
        started = perf_counter()
        with anyio.move_on_after(self._seconds) as scope:
            call = _Call(request, accept, scope, may_retry=may_retry)
            try:
                return await self._retrying(call.next_wait, self._attempt, call)
            except _AttemptError as failure:
                error, reason = failure.error, failure.reason
            except CircuitOpenError as refusal:
                error, reason = refusal, "circuit_open"
        if scope.cancelled_caught:
            error, reason = UpstreamUnavailableError(), "deadline"
        log.warning(
            "http_call_failed",
            method=request.method,
            host=call.host,
            status=error.status,
            reason=reason,
            attempts=call.attempts,
            duration_ms=round((perf_counter() - started) * 1000, 1),
        )
        raise error

    def _timeout(self, *, may_retry: bool) -> httpx2.Timeout:
        # An attempt without a response leaves time for a retry, if there can be one.
        read = self._seconds / 2 if may_retry else self._seconds
        short = min(CONNECT_SECONDS, self._seconds / 2)
        return httpx2.Timeout(read, connect=short, pool=short)

    async def _attempt(self, call: "_Call") -> httpx2.Response:
        is_probe = self._breakers.admit(call.host)
        call.attempts += 1
        outcome = Outcome.UNKNOWN
        try:
            response = await self._exchange(call.request)
            is_failure = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
            outcome = Outcome.FAILED if is_failure else Outcome.ANSWERED
        except _InvalidResponseError as error:
            outcome = Outcome.ANSWERED
            raise _AttemptError(UpstreamError(), error.reason) from error
        except httpx2.LocalProtocolError:
            # This service has made the mistake, such as a header with a line break.
            raise
        except httpx2.PoolTimeout as error:
            # All connections are busy, which is no failure of this host.
            raise _AttemptError(UpstreamUnavailableError(), "pool_exhausted") from error
        except httpx2.TransportError as error:
            outcome = Outcome.FAILED
            reason = type(error).__name__
            failure = _AttemptError(UpstreamUnavailableError(), reason, wait=True)
            raise failure from error
        except anyio.get_cancelled_exc_class():
            # Either the deadline has passed, or the caller has gone.
            outcome = Outcome.FAILED if call.seconds_left <= 0 else Outcome.UNKNOWN
            raise
        finally:
            self._breakers.record(call.host, outcome, is_probe=is_probe)
        _require_success(response, call.accept)
        return response

    async def _exchange(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request and read the response, up to the size limit."""
        response = await self.connections.send(request, stream=True)
        body = bytearray()
        try:
            async with aclosing(response.aiter_bytes()) as parts:
                async for part in parts:
                    body += part
                    if len(body) > self._max_bytes:
                        raise _InvalidResponseError(reason="too_large")
        except httpx2.DecodingError as error:
            raise _InvalidResponseError(reason="undecodable") from error
        finally:
            await response.aclose()
        headers = response.headers.copy()
        if headers.pop("Content-Encoding", None):
            # The body is decoded by now, so this was the length of the encoded one.
            headers.pop("Content-Length", None)
        return httpx2.Response(
            response.status_code, headers=headers, content=bytes(body), request=request
        )


@dataclass
class _Call:
    """The state that all attempts of a call share."""

    request: httpx2.Request
    accept: Collection[int]
    scope: anyio.CancelScope
    may_retry: bool
    attempts: int = 0

    @property
    def host(self) -> str:
        return self.request.url.netloc.decode("ascii")

    @property
    def seconds_left(self) -> float:
        return self.scope.deadline - anyio.current_time()

    def next_wait(self, error: Exception) -> bool | float:
        """Return how long to wait before the next attempt, or that there is none."""
        if not self.may_retry or not isinstance(error, _AttemptError):
            return False
        if isinstance(error.wait, bool):
            return error.wait
        # A retry before the time in Retry-After would be refused.
        return error.wait if error.wait < self.seconds_left else False


class _AttemptError(Exception):
    """An attempt failed; ``wait`` is whether and when another one may succeed."""

    def __init__(
        self, error: UpstreamError, reason: str, *, wait: bool | float = False
    ) -> None:
        super().__init__(reason)
        self.error = error
        self.reason = reason
        self.wait = wait


class _InvalidResponseError(Exception):
    """The response cannot be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _checked(url: str) -> httpx2.URL:
    checked = httpx2.URL(url)
    if checked.scheme not in {"http", "https"} or not checked.host:
        message = f"Only http and https are called, not {checked.scheme or 'a path'}."
        raise ValueError(message)
    return checked


def _headers(given: Mapping[str, str] | None, key: str | None) -> httpx2.Headers:
    headers = httpx2.Headers(given)
    request_id = get_contextvars().get(SCOPE_KEY)
    if request_id is not None:
        headers.setdefault(HEADER, request_id)
    if key is not None:
        headers["Idempotency-Key"] = key
    return headers


def _require_success(response: httpx2.Response, accept: Collection[int]) -> None:
    status = response.status_code
    if response.is_success or status in accept:
        return
    if status not in RETRYABLE_STATUSES:
        raise _AttemptError(UpstreamError(status), "status")
    wait = _seconds_of(response.headers.get("Retry-After", ""))
    raise _AttemptError(
        UpstreamUnavailableError(status=status),
        "status",
        wait=True if wait is None else wait,
    )


def _seconds_of(retry_after: str) -> float | None:
    """Read the header, which is a number of seconds or a date."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


@cache
def _tls() -> SSLContext:
    # Reading the certificate authorities is slow, and they are the same for all clients.
    # SSL_CERT_FILE or SSL_CERT_DIR adds your own.
    return httpx2.create_ssl_context()


def make_http_client(settings: HttpClientSettings) -> HttpClient:
    """Make the client; this connects to nothing."""
    # By default stamina logs each retry in its own format, and counts them with any
    # metrics library that is installed.
    stamina.instrumentation.set_on_retry_hooks([])
    connections = httpx2.AsyncClient(
        headers={"User-Agent": f"{DISTRIBUTION}/{VERSION}"},
        verify=_tls(),
        limits=httpx2.Limits(max_connections=settings.http_max_connections),
        # A redirect could lead anywhere, with the headers that were meant for one host.
        follow_redirects=False,
        # HTTP_PROXY is often set for other programs on the same machine; it must not
        # redirect what this one sends.
        trust_env=settings.http_proxy_from_environment,
        # One caller's cookies must not be sent for the next one.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )
    return HttpClient(connections, settings)


@asynccontextmanager
async def open_http_client(settings: HttpClientSettings) -> AsyncIterator[HttpClient]:
    """Make the client, and close its connections at the end."""
    client = make_http_client(settings)
    async with client.connections:
        yield client


def add_http_client(app: FastAPI, settings: HttpClientSettings) -> HttpClient:
    """Give routes a client for other services, and return it."""
    client = make_http_client(settings)

    @asynccontextmanager
    async def share_client() -> AsyncIterator[State]:
        async with client.connections:
            yield {"http": client}

    add_lifespan(app, share_client)
    return client


async def get_http_client(request: Request) -> HttpClient:
    """Return the application's client."""
    http: HttpClient = request.state["http"]
    return http


HttpClientDep = Annotated[HttpClient, Depends(get_http_client)]
