r"""How text becomes commands: words, quotes, `;`, comments and continued lines (gfsh.md §1.3).

A command line is a sequence of words. A quote (' or ") may stand anywhere in a word and protects blanks and `;` up to
its twin. Quotes that enclose a whole word, or the whole value of an option, are taken away; quotes inside stay, because
JSON is written with them. There are no escapes but `\;`, a literal semicolon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from heliograph.errors import UsageError

PROMPT = "gfsh>"
"""Of the shell; manuals show it before commands."""
_WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|\\;|[^\s;"'])+""")
_BLANK_OR_END = re.compile(r"\s+|;")
_OPTION = re.compile(r"--[^\s='\"]+=")
_SECRET = re.compile(
    r"""(--(?:J(?:=|\s+)(["'])?-D[\w.]*)?[\w-]*(?:password|token)[\w-]*(?:=|\s+))"""
    r"""(?(2)[^"']*|(?:"[^"]*"|'[^']*'|\S+))""",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """One command: as it was written, and its words."""

    text: str
    words: tuple[str, ...]


def parse_line(line: str) -> list[CommandLine]:
    """Return the commands of a line; none for a blank one. Raises UsageError for a quote that is not closed."""
    commands: list[CommandLine] = []
    words: list[str] = []
    start = position = 0
    while position < len(line):
        if match := _WORD.match(line, position):
            words.append(_unquote(match[0].replace("\\;", ";")))
        elif match := _BLANK_OR_END.match(line, position):
            if match[0] == ";":
                commands.append(CommandLine(line[start:position].strip(), tuple(words)))
                words, start = [], match.end()
        else:
            raise UsageError(
                f"a quote is not closed: {line[position:]} (a value with a ' in it goes between double quotes)"
            )
        position = match.end()
    commands.append(CommandLine(line[start:].strip(), tuple(words)))
    return [command for command in commands if command.words]


def _unquote(word: str) -> str:
    option = _OPTION.match(word)
    name, value = (option[0], word[option.end() :]) if option else ("", word)
    enclosed = len(value) > 1 and value[0] in "'\"" and value.find(value[0], 1) == len(value) - 1
    return name + (value[1:-1] if enclosed else value)


def script_lines(text: str) -> Iterator[str]:
    r"""Yield the lines of a script that hold commands, continued lines joined.

    Lines that begin with `//` or `#` are skipped, `/* ... */` is cut out and may span lines, tabs become blanks, and
    a line that ends with `\` goes on in the next one. Raises UsageError for a comment that is not closed.
    """
    continued = ""
    for line in _without_comments(text.splitlines()):
        whole = continued + line.replace("\t", " ").rstrip()
        if whole.endswith("\\"):
            continued = whole[:-1] + " "
            continue
        continued = ""
        if whole.strip():
            yield whole.strip()
    if continued.strip():
        yield continued.strip()


def _without_comments(lines: list[str]) -> Iterator[str]:
    opened_at = 0
    for number, line in enumerate(lines, start=1):
        if opened_at:
            _, closed, rest = line.partition("*/")
            if closed:
                opened_at = 0
                yield rest
            continue
        if line.lstrip().startswith(("//", "#")):
            continue
        before, opened, after = line.partition("/*")
        _, closed, rest = after.partition("*/")
        if opened and not closed:
            opened_at = number
        yield f"{before} {rest}" if opened else line
    if opened_at:
        raise UsageError(f"the comment opened in line {opened_at} is not closed: end it with */")


def redact(text: str) -> str:
    """Return a command with the values of password-like options replaced, as it may be shown and remembered."""
    return _SECRET.sub(r"\1********", text)
