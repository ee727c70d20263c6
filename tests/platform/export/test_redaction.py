"""Secrets and personal data are removed from texts; the rest is kept."""

from time import process_time

import pytest

from order_service.core.export.redaction import LONGEST, redacted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada@example.com is taken", "[hidden] is taken"),
        ("invalid literal: 'hunter2'", "invalid literal: [hidden]"),
        ('relation "users" has no "hunter2"', "relation [hidden] has no [hidden]"),
        (
            "no answer from https://ada:p/w@host/p?q=1",
            "no answer from https://[hidden]",
        ),
        (
            "no answer from https://api.example.com:8443/hooks/T0/s3cr3t?key=1",
            "no answer from https://api.example.com:8443",
        ),
        ("redis://:hunter2@localhost:6379/0 is down", "redis://[hidden] is down"),
        ("Authorization: Bearer hunter2", "Authorization: [hidden] [hidden]"),
        ("password=hunter2 refused", "password=[hidden] refused"),
        ("client_secret : hunter2", "client_secret : [hidden]"),
        ("{'api_key': hunter2}", "{[hidden]: [hidden]"),
        ("card 4111 1111 1111 1111", "card [hidden]"),
        ("call +49 151 12345678", "call [hidden]"),
        ("token sk-abcdefghij0123456789xyz", "token [hidden]"),
        ("first line\nDETAIL: Key (name)=(Ada)", "first line"),
    ],
)
def test_values_are_hidden(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "division by zero",
        "duplicate key value violates unique constraint",
        "trial 6f1c0e2d-9a4b-4c39-8888-123456789012 is gone",
        "GET /api/v1/trials/{trial_id}",
        "expected 3 rows, got 12",
    ],
)
def test_other_text_is_kept(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize("text", ["a" * 10**6, "a-" * 10**6, "a@" * 10**6, "'" * 10**6])
def test_long_text_is_truncated_in_linear_time(text: str) -> None:
    started = process_time()

    assert len(redacted(text)) <= LONGEST

    assert process_time() - started < 0.5
