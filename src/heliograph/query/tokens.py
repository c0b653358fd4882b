"""The words of a query, each with its place."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from heliograph.errors import UsageError

QUERY_CHARS_MAX = 4096

Kind = Literal["word", "text", "quoted", "number", "region", "symbol", "end"]

_TOKEN = re.compile(
    r"""
    (?P<blank>\s+)
  | (?P<word>[^\W\d]\w*)
  | (?P<text>'(?:[^']|'')*')
  | (?P<quoted>"(?:[^"]|"")+")
  | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?!\w))
  | (?P<region>/[A-Za-z0-9_][A-Za-z0-9_-]*)
  | (?P<symbol><>|<=|>=|!=|==|[=<>(),.*;-])
    """,
    re.VERBOSE,
)
_WRONG = {
    "'": "the text that begins here does not end",
    '"': "the name that begins here is empty or does not end",
    **dict.fromkeys("0123456789", "expected a number like 5, 1.5 or 1e6, without a letter at its end"),
}
"""What is wrong where no word begins, by the character there."""


class Token(NamedTuple):
    """One word, and its column, from 1. text: as it is written; of a text or a quoted name, what it stands for."""

    kind: Kind
    text: str
    column: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else f"'{self.text}'" if self.kind == "text" else self.text


def refusal(column: int, reason: str) -> UsageError:
    """Return the error that says where a query is wrong, and why."""
    return UsageError(f"query, column {column}: {reason}")


def tokens_of(query: str) -> list[Token]:
    """Return the words of a query, and its end. Raises UsageError naming the place."""
    if len(query) > QUERY_CHARS_MAX:
        raise UsageError(f"a query of {len(query)} characters is too long: it may have {QUERY_CHARS_MAX}")
    tokens = []
    at = 0
    while at < len(query):
        match = _TOKEN.match(query, at)
        if match is None:
            raise refusal(at + 1, _WRONG.get(query[at]) or f"{query[at]!r} is no word of a query")
        kind: Kind | Literal["blank"] = match.lastgroup  # type: ignore[assignment]  # one of the groups
        if kind != "blank":
            tokens.append(Token(kind, _meant(kind, match[0]), at + 1))
        at = match.end()
    return [*tokens, Token("end", "", len(query) + 1)]


def _meant(kind: Kind, written: str) -> str:
    quote = {"text": "'", "quoted": '"'}.get(kind)
    return written if quote is None else written[1:-1].replace(2 * quote, quote)
