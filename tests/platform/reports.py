"""Error reports under test: events in memory, in place of a Sentry."""

from typing import Any

import pytest
import sentry_sdk
from pydantic import SecretStr
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from order_service.core.error_reports import reports as error_reports
from order_service.settings import Settings

DSN = "https://key@sentry.example.com/1"

Event = dict[str, Any]


class FakeTransport(Transport):
    """Keeps what Sentry would receive."""

    def __init__(self) -> None:
        """Start without events."""
        super().__init__()
        self.events: list[Event] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        """Keep the event of an envelope, serialized as for the network."""
        for item in Envelope.deserialize(envelope.serialize()).items:
            assert item.type == "event"
            self.events.append(item.payload.json or {})


def fake_transports(monkeypatch: pytest.MonkeyPatch) -> list[FakeTransport]:
    """Return a list that gets the transport of each application started from now on."""
    transports: list[FakeTransport] = []
    make_client = error_reports.make_client

    def make_client_of_fake(settings: Settings) -> sentry_sdk.Client:
        client = make_client(settings)
        client.transport = FakeTransport()
        transports.append(client.transport)
        return client

    monkeypatch.setattr(error_reports, "make_client", make_client_of_fake)
    return transports


def reporting(settings: Settings, dsn: str = DSN) -> Settings:
    """Return settings that switch error reports on."""
    return settings.model_copy(update={"sentry_dsn": SecretStr(dsn)})
