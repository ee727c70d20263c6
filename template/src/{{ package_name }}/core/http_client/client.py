"""Calls to other services: one client for a process, and no call without an end.

Whatever goes wrong is an ``UpstreamError``, so a route that lets it pass answers 502,
or 503 where trying again later may help. Nothing here logs or raises a URL: its query
carries secrets, and so does the path of many a webhook.
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
from fastapi import Depends, Request
from structlog.contextvars import get_contextvars

from ..about import DISTRIBUTION, VERSION
from ..errors import UpstreamError, UpstreamUnavailableError
from ..http.request_id import HEADER, SCOPE_KEY
from ..settings import ServiceSettings
from .circuit_breaker import CircuitBreakers, CircuitOpenError, Outcome

log = structlog.stdlib.get_logger(__name__)

IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""What a server may be asked twice, because the second time changes nothing."""

PASSING_STATUSES = frozenset({429, 502, 503, 504})
"""The answers after which the same question may get another one."""

ATTEMPTS = 3
CONNECT_SECONDS = 2.0
"""Connecting, and waiting for a free connection, takes no longer than that."""


class HttpClient:
    """Makes calls that end in time, repeats what may be repeated, and spares the ill."""

    def __init__(
        self, connections: httpx2.AsyncClient, settings: ServiceSettings
    ) -> None:
        """Take the pool of connections."""
        self.connections = connections
        self._seconds = settings.http_seconds
        self._max_bytes = settings.http_max_response_bytes
        self._breakers = CircuitBreakers()
        # The deadline is the call's own, see `request`.
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
        """Make a call and return its answer, which is a success.

        It is repeated, after a pause that grows and varies, when there was no answer
        or one that may pass; but only if its method is idempotent or it has a key.

        Args:
            method: The HTTP method.
            url: Whom to ask for what, with ``http`` or ``https``.
            params: What to add to the URL's query.
            json: What to send as JSON.
            content: What to send as it is.
            headers: Further headers.
            idempotency_key: What tells the other service that a repetition is one.
            accept: Statuses besides the successes that the caller handles itself.

        Raises:
            UpstreamUnavailableError: there is no answer in time, or one that may pass.
            UpstreamError: the answer is no success, too large, or not readable.
            ValueError: the URL is not one that this client calls.
        """
        request = self.connections.build_request(
            method,
            _checked(url),
            params=params,
            json=json,
            content=content,
            headers=_headers(headers, idempotency_key),
        )
        may_repeat = idempotency_key is not None or request.method in IDEMPOTENT_METHODS
        request.extensions["timeout"] = self._timeout(may_repeat=may_repeat).as_dict()
        started = perf_counter()
        with anyio.move_on_after(self._seconds) as scope:
            call = _Call(request, accept, scope, may_repeat=may_repeat)
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

    def _timeout(self, *, may_repeat: bool) -> httpx2.Timeout:
        # An attempt that meets silence leaves time for another one, if there can be one.
        silence = self._seconds / 2 if may_repeat else self._seconds
        short = min(CONNECT_SECONDS, self._seconds / 2)
        return httpx2.Timeout(silence, connect=short, pool=short)

    async def _attempt(self, call: "_Call") -> httpx2.Response:
        is_trial = self._breakers.admit(call.host)
        call.attempts += 1
        outcome = Outcome.UNKNOWN
        try:
            response = await self._exchange(call.request)
            is_failure = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
            outcome = Outcome.FAILED if is_failure else Outcome.ANSWERED
        except _UnusableError as error:
            outcome = Outcome.ANSWERED
            raise _AttemptError(UpstreamError(), error.reason) from error
        except httpx2.LocalProtocolError:
            # This service has made the mistake, such as a header with a line break.
            raise
        except httpx2.PoolTimeout as error:
            # All connections are busy, which says nothing about this host.
            raise _AttemptError(UpstreamUnavailableError(), "pool_exhausted") from error
        except httpx2.TransportError as error:
            outcome = Outcome.FAILED
            reason = type(error).__name__
            failure = _AttemptError(UpstreamUnavailableError(), reason, wait=True)
            raise failure from error
        except anyio.get_cancelled_exc_class():
            # Either the time is up, or whoever asked does not want to know any more.
            outcome = Outcome.FAILED if call.seconds_left <= 0 else Outcome.UNKNOWN
            raise
        finally:
            self._breakers.record(call.host, outcome, is_trial=is_trial)
        _require_success(response, call.accept)
        return response

    async def _exchange(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request and read the answer, as much of it as is allowed."""
        answer = await self.connections.send(request, stream=True)
        body = bytearray()
        try:
            async with aclosing(answer.aiter_bytes()) as parts:
                async for part in parts:
                    body += part
                    if len(body) > self._max_bytes:
                        raise _UnusableError(reason="too_large")
        except httpx2.DecodingError as error:
            raise _UnusableError(reason="undecodable") from error
        finally:
            await answer.aclose()
        headers = answer.headers.copy()
        if headers.pop("Content-Encoding", None):
            # The body is decoded by now, so this was the length of something else.
            headers.pop("Content-Length", None)
        return httpx2.Response(
            answer.status_code, headers=headers, content=bytes(body), request=request
        )


@dataclass
class _Call:
    """What lasts for all attempts of a call."""

    request: httpx2.Request
    accept: Collection[int]
    scope: anyio.CancelScope
    may_repeat: bool
    attempts: int = 0

    @property
    def host(self) -> str:
        return self.request.url.netloc.decode("ascii")

    @property
    def seconds_left(self) -> float:
        return self.scope.deadline - anyio.current_time()

    def next_wait(self, error: Exception) -> bool | float:
        """Say how long to wait before the next attempt, or that there is none."""
        if not self.may_repeat or not isinstance(error, _AttemptError):
            return False
        if isinstance(error.wait, bool):
            return error.wait
        # Asking earlier than the other side has said would be of no use.
        return error.wait if error.wait < self.seconds_left else False


class _AttemptError(Exception):
    """An attempt failed; ``wait`` says whether and when another may succeed."""

    def __init__(
        self, error: UpstreamError, reason: str, *, wait: bool | float = False
    ) -> None:
        super().__init__(reason)
        self.error = error
        self.reason = reason
        self.wait = wait


class _UnusableError(Exception):
    """The answer cannot be used, whatever it says."""

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
    if status not in PASSING_STATUSES:
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
    # Reading the authorities takes a while, and they are the same for all clients.
    # Of one's own, SSL_CERT_FILE or SSL_CERT_DIR tells.
    return httpx2.create_ssl_context()


@asynccontextmanager
async def open_http_client(settings: ServiceSettings) -> AsyncIterator[HttpClient]:
    """Make the client, and close its connections at the end; this connects to nothing."""
    # By default stamina logs each retry in a shape of its own, and counts them with
    # whatever it finds installed.
    stamina.instrumentation.set_on_retry_hooks([])
    async with httpx2.AsyncClient(
        headers={"User-Agent": f"{DISTRIBUTION}/{VERSION}"},
        verify=_tls(),
        limits=httpx2.Limits(max_connections=settings.http_max_connections),
        # A redirect could lead anywhere, with the headers that were meant for one host.
        follow_redirects=False,
        # HTTP_PROXY is often set for other programs on the same machine; what this
        # one sends must not take another way because of that.
        trust_env=settings.http_proxy_from_environment,
        # One caller's cookies are none of the next one's.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    ) as connections:
        yield HttpClient(connections, settings)


async def get_http_client(request: Request) -> HttpClient:
    """Give the client that the lifespan made."""
    http: HttpClient = request.state["http"]
    return http


HttpClientDep = Annotated[HttpClient, Depends(get_http_client)]
