"""Reads XML into elements that know their lines, safely: no document types, no entities, nothing fetched.

`${name}` in a value or a text is replaced by the variable of that name, which may hold further ones; an unknown name
and a circle are errors (cache-xml.md §5). Names of elements and attributes are not replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from xml.etree.ElementTree import ParseError
from xml.parsers.expat import ErrorString

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from heliograph.errors import UsageError

FILE_BYTES_MAX = 4 * 1024 * 1024
DEPTH_MAX = 64
_VARIABLE = re.compile(r"\$\{([^${}]*)\}")
_SUBSTITUTIONS_MAX = 100
TEXT_CHARACTERS_MAX = 64 * 1024
"""Of a value or a text with its variables replaced: variables that hold each other grow fast."""


class PlacedError(UsageError):
    """What is wrong, with the line and the element where it is."""


@dataclass(slots=True)
class Element:
    """One element. tag: its name, with its namespace as `{uri}name`. text: what stands in it, stripped."""

    tag: str
    attributes: dict[str, str]
    line: int
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def wrong(self, message: str) -> PlacedError:
        """Return the error that is here."""
        return PlacedError(f"line {self.line}, <{self.tag.rpartition('}')[2]}>: {message}")


def read_xml(path: Path, variables: Mapping[str, str]) -> Element:
    """Read a file. Raises UsageError that names the file, the line and what to change."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise UsageError(f"{path} can't be read: {exc.strerror}") from exc
    try:
        return parse_xml(data, variables)
    except UsageError as exc:
        raise UsageError(f"{path}: {exc}") from exc


def parse_xml(data: bytes, variables: Mapping[str, str]) -> Element:
    """Read a document. Raises UsageError."""
    if len(data) > FILE_BYTES_MAX:
        raise UsageError(f"it has more than {FILE_BYTES_MAX} bytes: no configuration is so large")
    builder = _Builder()
    parser = DefusedXMLParser(target=builder, forbid_dtd=True)
    builder.parser = parser
    try:
        parser.feed(data)
        root = cast(Element, parser.close())
    except DefusedXmlException as exc:
        raise UsageError(f"line {builder.line}: a document type and entities are refused: remove <!DOCTYPE>") from exc
    except ParseError as exc:
        line, column = exc.position
        raise UsageError(f"line {line}, column {column + 1}: no well-formed XML: {ErrorString(exc.code)}") from exc
    except (LookupError, ValueError) as exc:
        raise UsageError(f"its encoding is unknown or not kept to: save it as UTF-8 ({exc})") from exc
    _substitute(root, variables)
    return root


class _Builder:
    """Target of the parser, which it asks for the line."""

    def __init__(self) -> None:
        self.parser: Any = None
        self._open: list[Element] = []
        self._root: Element | None = None

    @property
    def line(self) -> int:
        return int(self.parser.parser.CurrentLineNumber)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= DEPTH_MAX:
            raise PlacedError(f"line {self.line}: elements are nested more than {DEPTH_MAX} deep")
        element = Element(tag, dict(attributes), self.line)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)

    def data(self, text: str) -> None:
        if self._open:
            self._open[-1].text += text

    def end(self, tag: str) -> None:  # noqa: ARG002
        element = self._open.pop()
        element.text = element.text.strip()

    def close(self) -> Element:
        if self._root is None:
            raise UsageError("it has no element")
        return self._root


def _substitute(root: Element, variables: Mapping[str, str]) -> None:
    ahead = [root]
    while ahead:
        element = ahead.pop()
        ahead += element.children
        try:
            element.text = _replaced(element.text, variables)
            element.attributes = {name: _replaced(value, variables) for name, value in element.attributes.items()}
        except UsageError as exc:
            raise element.wrong(str(exc)) from exc


def _replaced(text: str, variables: Mapping[str, str]) -> str:
    """Replace variables from the inside out, so that one may name another. Raises UsageError."""

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name not in variables:
            raise UsageError(f"${{{name}}} is not known: set the environment variable {name}")
        return variables[name]

    for _ in range(_SUBSTITUTIONS_MAX):
        replaced = _VARIABLE.sub(value_of, text)
        if replaced == text:
            return text
        if len(replaced) > TEXT_CHARACTERS_MAX:
            break
        text = replaced
    raise UsageError(f"the variables in {text[:80]!r} go in a circle, or hold too much")
