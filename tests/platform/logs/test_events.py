"""The content and the format of log events."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from order_service.core.logs.setup import configure_logging
from order_service.settings import Settings


@pytest.fixture(autouse=True)
def _restored_root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers = handlers
    root.setLevel(level)


def logged(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the only logged line."""
    (line,) = capsys.readouterr().out.splitlines()
    content: dict[str, Any] = json.loads(line)
    return content


def log_as_production() -> structlog.stdlib.BoundLogger:
    """Return a logger that writes JSON."""
    configure_logging(Settings.for_schema().model_copy(update={"log_format": "json"}))
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("test")
    return logger


def test_event_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    log_as_production().info("order_placed", order_id=42, note="two\nlines")

    line = logged(capsys)

    assert (line["event"], line["order_id"], line["note"]) == (
        "order_placed",
        42,
        "two\nlines",
    )
    assert (line["level"], line["logger"]) == ("info", "test")
    assert line["timestamp"].endswith("Z")
    assert line["service"]


def test_libraries_log_in_the_same_format(capsys: pytest.CaptureFixture[str]) -> None:
    log_as_production()

    logging.getLogger("library").warning("%s is slow", "it", extra={"seconds": 3})

    line = logged(capsys)
    assert (line["event"], line["seconds"]) == ("it is slow", 3)


def test_secrets_are_redacted_at_any_depth(capsys: pytest.CaptureFixture[str]) -> None:
    log_as_production().info(
        "signed_in",
        password="hunter2",
        headers={"Authorization": "Bearer hunter2", "Accept": "*/*"},
        attempts=[{"refresh_token": "hunter2"}, ("plain",)],
    )

    line = logged(capsys)

    assert "hunter2" not in json.dumps(line)
    assert line["headers"]["Accept"] == "*/*"
    assert line["attempts"][1] == ["plain"]


def test_traceback_shows_no_local_variables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = log_as_production()

    def fail() -> None:
        credentials = "hunter2"
        raise RuntimeError(len(credentials))

    try:
        fail()
    except RuntimeError:
        logger.exception("request_failed")

    line = logged(capsys)

    assert "hunter2" not in json.dumps(line)
    assert line["exception"][0]["exc_type"] == "RuntimeError"


def test_development_logs_readable_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings.for_schema())

    structlog.stdlib.get_logger("test").info("order_placed", order_id=42)

    text = capsys.readouterr().out
    assert "order_placed" in text
    assert "order_id=42" in text
    assert not text.startswith("{")
