"""Errors that nobody expected, reported to Sentry: what, where and when, but not whose.

Sentry's integrations are left out. They would change the logging and the libraries of
the whole process, report an error once for each layer it passes, and add what the
request carried. An unhandled error passes one place here, which reports it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sentry_sdk
from fastapi import FastAPI
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ..about import DISTRIBUTION, VERSION
from ..discovery import PACKAGE
from ..export.redaction import redacted
from ..export.shutdown import SECONDS_TO_END
from ..http.request_id import SCOPE_KEY
from ..http.route_template import route_template
from ..settings import ServiceSettings

REPORTED = "reported_error"


def _no_trace() -> dict[str, str]:
    return {}


class ErrorReports:
    """What reports the errors of one application, if there is a Sentry to report to."""

    def __init__(
        self,
        settings: ServiceSettings,
        current_trace: Callable[[], dict[str, str]] = _no_trace,
    ) -> None:
        """Prepare it; nothing is sent before `open`.

        Args:
            settings: Where to, and from which environment.
            current_trace: Gives the ids of the trace that is going on.
        """
        self._settings = settings
        self._current_trace = current_trace
        self._client: sentry_sdk.Client | None = None

    def watch_requests(self, app: FastAPI) -> None:
        """Report what no error handler has handled."""
        if not self._settings.sentry_dsn.get_secret_value():
            return
        # Innermost, because the middleware outside of it answers what it catches;
        # and outermost, because middleware can fail, too.
        app.user_middleware.append(Middleware(AttendedMiddleware, reports=self))
        app.user_middleware.append(Middleware(ErrorReportsMiddleware, reports=self))
        app.add_middleware(ErrorReportsMiddleware, reports=self)

    def open(self) -> None:
        """Begin to report."""
        if self._settings.sentry_dsn.get_secret_value():
            self._client = make_client(self._settings)

    def close(self) -> None:
        """Send what is left, for as long as that may take."""
        client, self._client = self._client, None
        if client is not None:
            client.close(timeout=SECONDS_TO_END)

    @contextmanager
    def attending(self, tags: Mapping[str, str]) -> Iterator[None]:
        """Let `sentry_sdk` report from within to this application's Sentry.

        Args:
            tags: What every report from within is found by.
        """
        with sentry_sdk.isolation_scope() as scope:
            if self._client is not None:
                scope.set_client(self._client)
            for name, content in tags.items():
                scope.set_tag(name, content)
            yield

    def report(
        self, error: BaseException, transaction: str, tags: Mapping[str, str]
    ) -> None:
        """Report one error.

        Args:
            error: What happened.
            transaction: What it happened in: a route, a job.
            tags: What the report is found by.
        """
        if self._client is None:
            return
        event, hint = event_from_exception(
            error,
            client_options=self._client.options,
            mechanism={"type": DISTRIBUTION, "handled": False},
        )
        event["transaction"] = transaction
        event["transaction_info"] = {"source": "route"}
        if trace := self._current_trace():
            event["contexts"] = {"trace": {**trace}}
        with self.attending(tags):
            sentry_sdk.get_current_scope().capture_event(event, hint)


class ErrorReportsMiddleware:
    """Reports every error that passes, once."""

    def __init__(self, app: ASGIApp, reports: ErrorReports) -> None:
        """Wrap the next application."""
        self._app = app
        self._reports = reports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, and report what falls out."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if scope.get(REPORTED) is not error:
                scope[REPORTED] = error
                self._reports.report(error, route_template(scope), _tags(scope))
            raise


class AttendedMiddleware:
    """Lets a request's own code report something, by `sentry_sdk` itself."""

    def __init__(self, app: ASGIApp, reports: ErrorReports) -> None:
        """Wrap the application."""
        self._app = app
        self._reports = reports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Attend to one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._reports.attending(_tags(scope)):
            await self._app(scope, receive, send)


def _tags(scope: Scope) -> dict[str, str]:
    return {
        "http.method": scope["method"],
        "request_id": scope.get(SCOPE_KEY, ""),
    }


def make_client(settings: ServiceSettings) -> sentry_sdk.Client:
    """Make a client that no other application uses and that collects nothing itself."""
    return sentry_sdk.Client(
        dsn=settings.sentry_dsn.get_secret_value(),
        release=f"{DISTRIBUTION}@{VERSION}",
        environment=settings.environment,
        before_send=without_values,
        default_integrations=False,
        auto_enabling_integrations=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        enable_backpressure_handling=False,
        in_app_include=[PACKAGE],
        debug=False,
        spotlight=False,
    )


def without_values(event: Event, hint: Hint) -> Event:
    """Leave in a report what says where the error is, and nothing of whom it met."""
    personal: Any = event
    for part in ("user", "breadcrumbs", "extra"):
        personal.pop(part, None)
    for error in personal.get("exception", {}).get("values", []):
        error["value"] = redacted(str(error.get("value") or ""))
    return event
