"""Redacts text that leaves the service: hides what looks like a value."""

import re

HIDDEN = "[hidden]"

LONGEST = 500
"""Longer text is truncated: a long message usually quotes data."""

UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

# Every quantifier has a bound, so that no text makes the search slow.
VALUES = (
    # Keep the first line, which names the error. The others quote data: PostgreSQL's
    # DETAIL names the row, Pydantic's lines the input.
    (re.compile(r"[\r\n].*", re.DOTALL), ""),
    # Credentials, path and query of a URL: each can contain a secret. An @ shows that
    # there are credentials, which are often not percent-encoded.
    (re.compile(r"\b([a-zA-Z][a-zA-Z0-9+.-]{1,20}://)\S*@\S*"), rf"\1{HIDDEN}"),
    (re.compile(r"\b([a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/?#'\"]*)[^\s'\"]*"), r"\1"),
    (re.compile(r"[^\s@<>()\[\]'\"=]{1,64}@[^\s@<>()\[\]'\"]{1,255}"), HIDDEN),
    # An authentication scheme or the name of a secret, and what follows it.
    (re.compile(r"\b(Bearer|Basic|ApiKey)\s{1,3}\S+", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (
        re.compile(
            r"((?:password|passwd|secret|token|cookie|authorization|api[_-]?key)"
            r"[\w-]{0,20}['\"]?\s{0,3}[=:]\s{0,3})\S+",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`"), HIDDEN),
    # Card, account and telephone numbers; keys, digests and tokens. Record ids stay:
    # they are what an engineer searches for.
    (re.compile(r"(?<![\w-])\+?\d(?:[ -]?\d){6,}(?![\w-])"), HIDDEN),
    (
        re.compile(
            r"(?<![\w.-])(?!" + UUID + r"(?![\w.-]))"
            r"(?=[\w.-]{0,200}\d)(?=[\w.-]{0,200}[A-Za-z])[\w-][\w.-]{22,}[\w-]"
        ),
        HIDDEN,
    ),
)


def redacted(text: str) -> str:
    """Hide what looks like a value: quotations, addresses, tokens, numbers.

    For error messages, which may quote any data. An unquoted word, such as a name,
    cannot be recognised and stays.
    """
    # Truncate before searching, so that the cost of a huge text is bounded.
    text = text[: 4 * LONGEST]
    for pattern, replacement in VALUES:
        text = pattern.sub(replacement, text)
    return text[:LONGEST]
