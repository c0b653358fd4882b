"""Keys and values that commands give as text, by the classes that GemFire's commands name (gfsh.md §4.4, §4.5).

A class may be written with its package or without it. Whole numbers of every size are one kind here, of 64 bits.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import msgspec

from heliograph.errors import UsageError
from heliograph.model.decoding import MALFORMED

TextValue: TypeAlias = str | int | float | bool | dict[str, Any] | list[Any]
"""What a command can give as a value."""

_BITS = {"java.lang.Byte": 8, "java.lang.Short": 16, "java.lang.Integer": 32, "java.lang.Long": 64}
TEXT = "java.lang.String"
KEY_CLASSES = (TEXT, *_BITS)
_FLOATS = ("java.lang.Float", "java.lang.Double")
_BOOLEAN, _MAP, _LIST = "java.lang.Boolean", "java.util.HashMap", "java.util.ArrayList"
VALUE_CLASSES = (*KEY_CLASSES, *_FLOATS, _BOOLEAN, _MAP, _LIST)
_JSON_SIGNS = str.maketrans("()'", '{}"')


def read_key(text: str, name: str = "") -> str | int:
    """Return the key that is meant. name: of its class; "": a text. Raises UsageError."""
    kind = _find("key", name, KEY_CLASSES)
    return text if kind == TEXT else _number("key", text, kind)


def read_value(text: str, name: str = "") -> TextValue:
    """Return the value that is meant. name: of its class; "": a text, or a JSON object as gfsh writes one.

    In a text that begins with `('` or `['` parentheses and single quotes stand for JSON's own signs. Raises UsageError.
    """
    if not name:
        return _json(text, _MAP) if text.startswith("('") else text
    kind = _find("value", name, VALUE_CLASSES)
    if kind in _BITS:
        return _number("value", text, kind)
    if kind in _FLOATS:
        return _float(text, kind)
    if kind == _BOOLEAN:
        if text.lower() not in ("true", "false"):
            raise UsageError(f"the value {text} is neither true nor false, as value-class {kind} has it")
        return text.lower() == "true"
    return text if kind == TEXT else _json(text, kind)


def class_of(value: object) -> str:
    """Return the class that GemFire's commands would name; "" where there is none."""
    match value:
        case bool():
            return _BOOLEAN
        case int():
            return "java.lang.Integer" if -(2**31) <= value < 2**31 else "java.lang.Long"
        case str():
            return TEXT
        case float():
            return "java.lang.Double"
        case bytes():
            return "byte[]"
        case dict():
            return _MAP
        case list():
            return _LIST
    return ""


def _find(what: str, name: str, classes: tuple[str, ...]) -> str:
    """Return the class that is named. Raises UsageError."""
    if not name:
        return TEXT
    for each in classes:
        if name.lower() in (each.lower(), each.rpartition(".")[2].lower()):
            return each
    raise UsageError(f"{what}-class {name}: use one of {', '.join(classes)}; what else there is a program puts")


def _number(what: str, text: str, kind: str) -> int:
    half = 2 ** (_BITS[kind] - 1)
    try:
        number = int(text)
    except ValueError:
        raise UsageError(f"the {what} {text} is no whole number, as {what}-class {kind} has it") from None
    if not -half <= number < half:
        raise UsageError(f"the {what} {text} is out of range: a {kind} is {-half} to {half - 1}")
    return number


def _float(text: str, kind: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise UsageError(f"the value {text} is no number, as value-class {kind} has it") from None
    if not math.isfinite(number):
        raise UsageError(f"the value {text} is no number that JSON carries: a program can put it")
    return number


def _json(text: str, kind: str) -> dict[str, Any] | list[Any]:
    written = text.translate(_JSON_SIGNS) if text.startswith(("('", "['")) else text
    wanted: Any = dict[str, Any] if kind == _MAP else list[Any]
    try:
        read: dict[str, Any] | list[Any] = msgspec.json.decode(written, type=wanted)
    except MALFORMED as exc:
        shape = "object, ('field':'value')" if kind == _MAP else "array, ['value',1]"
        raise UsageError(f"the value {text} should be a JSON {shape}, and is none: {exc}") from exc
    return read
