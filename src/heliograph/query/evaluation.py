"""What paths and conditions are, of one item.

A condition is true, false or UNDEFINED (None), and entries are selected of which it is true. A path that leads nowhere
is UNDEFINED, and so is a comparison of what can't be compared: with UNDEFINED, with what is of another kind, with a map
or a list, and which of two is less where one is NULL or a boolean. NOT of UNDEFINED is UNDEFINED; AND and OR know what
they can know: `FALSE AND UNDEFINED` is false, `TRUE OR UNDEFINED` true.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

from heliograph.query.tree import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Defined,
    Holds,
    In,
    Like,
    Not,
    Operand,
    Operator,
    Path,
    Scalar,
)


class Undefined(Enum):
    """The value of a path that leads nowhere."""

    UNDEFINED = "UNDEFINED"


UNDEFINED: Final = Undefined.UNDEFINED

Item: TypeAlias = Any
Read: TypeAlias = Callable[[Item], Any]
Test: TypeAlias = Callable[[Item], bool | None]
OrderKey: TypeAlias = tuple[int, Any]
"""Sorts values of any kinds."""

_KINDS: dict[type, int] = {
    Undefined: 0, type(None): 1, bool: 2, int: 4, float: 4, str: 5, bytes: 6, datetime: 7,
}  # fmt: skip
"""The kind of a value, in the order in which kinds are sorted; 3 is a number that is none, 8 whatever is not here."""
_NOT_A_NUMBER, _OTHER = 3, 8
_EQUATED, _ORDERED = frozenset({1, 2, 4, 5, 6, 7}), frozenset({4, 5, 6, 7})
"""Kinds of which two can be equal, and of which one can be less."""
_OPERATORS: dict[Operator, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def order_key(value: Any) -> OrderKey:
    """Return what a value is sorted by: UNDEFINED, NULL, booleans, numbers, texts, bytes, times, everything else."""
    kind = _KINDS.get(type(value), _OTHER)
    if kind == _OTHER or value is UNDEFINED:
        return kind, None
    if isinstance(value, float) and math.isnan(value):
        return _NOT_A_NUMBER, None
    return kind, value


def read_of(operand: Operand) -> Read:
    """Return what reads an operand."""
    if not isinstance(operand, Path):
        constant = operand.value
        return lambda _item: constant
    fields = operand.fields
    if not fields:
        return lambda item: item

    def read(item: Item) -> Any:
        for field in fields:
            if type(item) is not dict:
                return UNDEFINED
            item = item.get(field, UNDEFINED)
        return item

    return read


def test_of(condition: Condition) -> Test:
    """Return what tests a condition."""
    match condition:
        case Comparison(how, left, right):
            return _comparison(how, read_of(left), read_of(right))
        case Like(path, pattern):
            return _like(read_of(path), pattern)
        case In(path, among):
            return _in(read_of(path), among)
        case Defined(path):
            read = read_of(path)
            return lambda item: read(item) is not UNDEFINED
        case Holds(operand):
            return _holds(read_of(operand))
        case Not(inner):
            return _negated(test_of(inner))
        case AllOf(conditions):
            return _joined(list(map(test_of, conditions)), decisive=False)
        case AnyOf(conditions):
            return _joined(list(map(test_of, conditions)), decisive=True)


def _comparison(how: Operator, left: Read, right: Read) -> Test:
    compare = _OPERATORS[how]
    equating = how in ("=", "!=")
    kinds = _EQUATED if equating else _ORDERED

    def test(item: Item) -> bool | None:
        one, other = left(item), right(item)
        kind = _KINDS.get(type(one), _OTHER)
        if kind == _KINDS.get(type(other), _OTHER):
            return compare(one, other) if kind in kinds else None
        if equating and (one is None or other is None) and one is not UNDEFINED and other is not UNDEFINED:
            return how == "!="
        return None

    return test


def _holds(read: Read) -> Test:
    def test(item: Item) -> bool | None:
        value = read(item)
        return value if isinstance(value, bool) else None

    return test


def _negated(test: Test) -> Test:
    def negated(item: Item) -> bool | None:
        result = test(item)
        return None if result is None else not result

    return negated


def _joined(tests: Sequence[Test], *, decisive: bool) -> Test:
    """Return what is `decisive` as soon as one test is, the opposite when all are that, and else UNDEFINED."""

    def test(item: Item) -> bool | None:
        joined: bool | None = not decisive
        for each in tests:
            result = each(item)
            if result is decisive:
                return decisive
            if result is None:
                joined = None
        return joined

    return test


def _in(read: Read, among: Sequence[Scalar]) -> Test:
    known = {(_KINDS[type(each)], each) for each in among}

    def test(item: Item) -> bool | None:
        value = read(item)
        if value is UNDEFINED:
            return None
        kind = _KINDS.get(type(value), _OTHER)
        return kind != _OTHER and (kind, value) in known

    return test


def _like(read: Read, pattern: str) -> Test:
    first, *middle = _pieces(pattern)
    last = middle.pop() if middle else None

    def test(item: Item) -> bool | None:
        text = read(item)
        if not isinstance(text, str):
            return None
        if last is None:
            return first.text.fullmatch(text) is not None
        found = first.text.match(text)
        for piece in middle:
            found = found and piece.text.search(text, found.end())
        ending = len(text) - last.length
        return found is not None and ending >= found.end() and last.text.match(text, ending) is not None

    return test


class _Piece(NamedTuple):
    """What stands between two % of a pattern, and how many characters it matches: always the same number.

    To find such pieces one after the other, each as early as possible, is all that there is to do, however many % there
    are; one regular expression for the whole pattern might try all ways to divide a text.
    """

    text: re.Pattern[str]
    length: int


def _pieces(pattern: str) -> list[_Piece]:
    pieces: list[list[str]] = [[]]
    characters = iter(pattern)
    for character in characters:
        if character == "%":
            pieces.append([])
        elif character == "_":
            pieces[-1].append(".")
        else:
            plain = next(characters, character) if character == "\\" else character
            pieces[-1].append(re.escape(plain))
    return [_Piece(re.compile("".join(piece), re.DOTALL), len(piece)) for piece in pieces]
