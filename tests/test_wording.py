"""Docstrings and comments of a service use the field's words: "response", not "answer"."""

import re
from collections.abc import Iterator

import pytest

from tests.answers import ROOT

SOURCES = ROOT / "template" / "src"

AVOIDED = {
    r"answer(s|ed|ing)?": "response, respond, return",
    r"nobody|somebody|anybody|everybody|whoever": "the caller, the user, any client",
    r"one's own": "your, a local, a private",
    r"(left|leave|leaves|leaving) alone": "unchanged, back off",
    r"in numbers": "metrics",
    r"dear": "expensive",
    r"let be": "unchanged",
}
"""What to write instead of each pattern."""

PROSE = re.compile(
    r'(?ms)(?P<start>^[ \t]*)?[a-z]?"""(?P<docstring>.*?)"""|(?:^[ \t]*|  )(?P<comment># [^\n]*)'
)
"""A string in triple quotes, a docstring if it starts its line, or a comment. The files that
become Python only when they are rendered cannot be tokenized."""


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Return each docstring and each comment, with its first line's number."""
    for found in PROSE.finditer(source):
        for group in ("docstring", "comment"):
            if found[group] and (group == "comment" or found["start"] is not None):
                yield 1 + source.count("\n", 0, found.start(group)), found[group]


def avoided_words(source: str) -> list[str]:
    """Describe each avoided word: its line, the word and its replacements."""
    found = []
    for first, text in prose(source):
        for pattern, better in AVOIDED.items():
            # Not a name, such as .copier-answers.yml or the account "nobody".
            for word in re.finditer(rf'(?i)(?<![\w."-])(?:{pattern})(?![\w.-]\w)', text):
                line = first + text.count("\n", 0, word.start())
                found.append(f"{line}: {word[0]!r}: write {better}")
    return found


def test_docstrings_and_comments_use_the_fields_words() -> None:
    paths = sorted(path for path in SOURCES.rglob("*.py*") if path.suffix in {".py", ".jinja"})
    # A released migration never changes, not even in its words.
    paths = [path for path in paths if path.parent.name != "versions"]
    assert len(paths) > 100
    found = [
        f"{path.relative_to(ROOT)}:{problem}"
        for path in paths
        for problem in avoided_words(path.read_text("utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('"""Return the answer."""\n', [1]),
        ('def get():\n    """Return it.\n\n    Nobody may know.\n    """\n', [4]),
        ('x = 1\n"""Of one\'s own."""\n', [2]),
        ("x = 1  # A dear call.\n# Answered before.\n", [1, 2]),
        ('title = "The answer"\n# See .copier-answers.yml.\n', []),
        ('QUERY = """\nanswer\n"""\nanswer = f(nobody)\n', []),
        ("{% if auth %}\n    # Nobody answers.\n{% endif %}\n", [2, 2]),
    ],
)
def test_avoided_word_is_found_in_prose_only(source: str, lines: list[int]) -> None:
    assert [int(problem.split(":")[0]) for problem in avoided_words(source)] == lines
