r"""The syntax of .properties files, as java.util.Properties reads them.

    name=value     name: value     name value      blanks around name and separator are dropped, those at the end stay
    # or ! at the beginning of a line: a comment
    a line that ends with an odd number of \ goes on in the next one, whose leading blanks are dropped
    \t \n \r \f \uXXXX, and \ before anything else for that itself

Two things differ: a file is UTF-8, and a name that is given twice is refused instead of the first being forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from heliograph.errors import UsageError

_BLANKS = " \t\f"
_LINE_END = re.compile(r"\r\n|\n|\r")
_NAME = re.compile(r"(?:\\.|[^\\=: \t\f])*", re.DOTALL)
_SEPARATOR = re.compile(r"[ \t\f]*[=:]?[ \t\f]*")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)|\\\Z", re.DOTALL)
_NAMED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


class Property(NamedTuple):
    """A property as it was given. where: `file:line`, or what else it was given in, for messages."""

    name: str
    value: str
    where: str


def read_file(path: Path) -> list[Property]:
    """Return a file's properties in their order. Raises UsageError, naming file and line, and what to change."""
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise UsageError(f"{path}:{line}: the file is not UTF-8: write \\uXXXX, or save it as UTF-8") from exc
    except OSError as exc:
        raise UsageError(f"{path} can't be read: {exc.strerror or type(exc).__name__}") from exc
    return parse(text, str(path))


def parse(text: str, source: str) -> list[Property]:
    """Return the properties of a text. Raises UsageError for a name that is given twice, or a wrong escape."""
    found: dict[str, Property] = {}
    for number, line in _logical_lines(text):
        where = f"{source}:{number}"
        match = _NAME.match(line)
        end = match.end() if match else 0
        separator = _SEPARATOR.match(line, end)
        name = _unescaped(line[:end], where)
        if name in found:
            raise UsageError(f"{where}: {name} is given already in {found[name].where}: remove one of the two")
        value = line[separator.end() if separator else end :]
        found[name] = Property(name, _unescaped(value, where), where)
    return list(found.values())


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold properties, continued ones joined, with the number of the first."""
    begun = ""
    begun_at = 0
    for number, raw in enumerate(_LINE_END.split(text), start=1):
        line = raw.lstrip(_BLANKS)
        if not begun_at:
            if not line or line[0] in "#!":
                continue
            begun_at = number
        if (len(line) - len(line.rstrip("\\"))) % 2:
            begun += line[:-1]
            continue
        yield begun_at, begun + line
        begun, begun_at = "", 0
    if begun_at:
        yield begun_at, begun


def _unescaped(text: str, where: str) -> str:
    def replaced(match: re.Match[str]) -> str:
        escaped = match[1] or ""
        if escaped == "u":
            raise UsageError(f"{where}: \\u is followed by four hexadecimal digits (and a \\ itself is written \\\\)")
        return chr(int(escaped[1:], 16)) if len(escaped) > 1 else _NAMED.get(escaped, escaped)

    return _ESCAPE.sub(replaced, text)
