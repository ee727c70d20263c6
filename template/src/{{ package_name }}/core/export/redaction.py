"""Text that may leave the service: what somebody's values look like is hidden in it."""

import re

HIDDEN = "[hidden]"

LONGEST = 500
"""What is longer is cut off: a long message is one that quotes something."""

UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

# Every repetition has a bound, so that no text makes the search slow.
VALUES = (
    # The first line says what went wrong. The others quote: PostgreSQL's DETAIL names
    # the row, Pydantic's lines the input.
    (re.compile(r"[\r\n].*", re.DOTALL), ""),
    # Credentials, path and query of a URL: each of them can be a secret. An @ says
    # that there are credentials, and whoever writes them by hand may not quote them.
    (re.compile(r"\b([a-zA-Z][a-zA-Z0-9+.-]{1,20}://)\S*@\S*"), rf"\1{HIDDEN}"),
    (re.compile(r"\b([a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/?#'\"]*)[^\s'\"]*"), r"\1"),
    (re.compile(r"[^\s@<>()\[\]'\"=]{1,64}@[^\s@<>()\[\]'\"]{1,255}"), HIDDEN),
    # A scheme of authentication, or a secret's name, and what follows it.
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
    # Numbers of cards, accounts and telephones; keys, digests and tokens. The ids of
    # records are neither, and are what one searches for.
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
    """Hide what looks like somebody's value: quotations, addresses, tokens, numbers.

    It is meant for messages of errors, of which nobody knows what they quote. A word
    without quotes, such as a name, looks like any other and stays.
    """
    # Before anything is searched, so that a huge text costs no more than a large one.
    text = text[: 4 * LONGEST]
    for pattern, replacement in VALUES:
        text = pattern.sub(replacement, text)
    return text[:LONGEST]
