"""Unexpected errors, reported to Sentry: what, where and when, but no personal data.

Sentry's integrations are left out. They would change the logging and the libraries of
the whole process, report an error once for each layer it passes, and add the request's
content. An unhandled error passes one layer here, which reports it.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import sentry_sdk
from fastapi import FastAPI
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception
from starlette.types import ASGIApp, Receive, Scope, Send

from ..about import DISTRIBUTION, PACKAGE, VERSION
from ..export.redaction import redacted
from ..export.shutdown import SECONDS_TO_END, close_within_timeout
from ..http.middleware import Layer, add_layer
from ..http.request_id import SCOPE_KEY
from ..http.route_template import route_template
from ..lifespan import State, add_lifespan
from .settings import ErrorReportSettings


def _no_trace() -> dict[str, str]:
    return {}


class ErrorReports:
    """The error reports of one application; nothing is sent without a DSN."""

    def __init__(
        self,
        settings: ErrorReportSettings,
        current_trace: Callable[[], dict[str, str]] = _no_trace,
    ) -> None:
        """Store the configuration; nothing is sent before `open`.

        Args:
            settings: The Sentry project and the environment.
            current_trace: Returns the ids of the current trace.
        """
        self._settings = settings
        self._current_trace = current_trace
        self._client: sentry_sdk.Client | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send reports until the end, then flush the queue within a timeout."""
        self.open()
        try:
            yield
        finally:
            await close_within_timeout(self.close)

    def open(self) -> None:
        """Begin to report."""
        if self._settings.sentry_dsn.get_secret_value():
            self._client = make_client(self._settings)

    def close(self) -> None:
        """Flush the queue, within the timeout."""
        client, self._client = self._client, None
        if client is not None:
            client.close(timeout=SECONDS_TO_END)

    @contextmanager
    def tagged_scope(self, tags: Mapping[str, str]) -> Iterator[None]:
        """Send what is reported inside with `sentry_sdk` to this application's Sentry.

        Args:
            tags: The tags of every report from inside.
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
            error: The error.
            transaction: Where it happened: a route, a job.
            tags: The tags of the report.
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
        with self.tagged_scope(tags):
            sentry_sdk.get_current_scope().capture_event(event, hint)


class ErrorReportsMiddleware:
    """Reports unexpected errors, and enables `sentry_sdk` in a request's code."""

    def __init__(self, app: ASGIApp, reports: ErrorReports) -> None:
        """Wrap the next application."""
        self._app = app
        self._reports = reports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and report what is raised."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            with self._reports.tagged_scope(_tags(scope)):
                await self._app(scope, receive, send)
        except Exception as error:
            self._reports.report(error, route_template(scope), _tags(scope))
            raise


@asynccontextmanager
async def open_error_reports(
    settings: ErrorReportSettings,
    current_trace: Callable[[], dict[str, str]] = _no_trace,
) -> AsyncIterator[ErrorReports]:
    """Report errors of what a process does outside of requests."""
    reports = ErrorReports(settings, current_trace)
    async with reports.running():
        yield reports


def add_error_reports(
    app: FastAPI,
    settings: ErrorReportSettings,
    current_trace: Callable[[], dict[str, str]] = _no_trace,
) -> None:
    """Report unexpected errors of requests."""
    reports = ErrorReports(settings, current_trace)

    @asynccontextmanager
    async def send() -> AsyncIterator[State]:
        async with reports.running():
            yield {}

    add_lifespan(app, send)
    if settings.sentry_dsn.get_secret_value():
        add_layer(app, Layer.ERROR_REPORTS, ErrorReportsMiddleware, reports=reports)


def _tags(scope: Scope) -> dict[str, str]:
    return {
        "http.method": scope["method"],
        "request_id": scope.get(SCOPE_KEY, ""),
    }


def make_client(settings: ErrorReportSettings) -> sentry_sdk.Client:
    """Make a client for this application alone, without Sentry's integrations."""
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
    """Remove personal data and values from a report, and keep the location."""
    personal: Any = event
    for part in ("user", "breadcrumbs", "extra"):
        personal.pop(part, None)
    for error in personal.get("exception", {}).get("values", []):
        error["value"] = redacted(str(error.get("value") or ""))
    return event
