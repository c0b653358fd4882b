"""What a query selects, said once more, the simple way: every rule by itself, over all entries at once."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

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
    Path,
    Query,
)

NOTHING = "<nothing is there>"
KINDS = ("nothing", "null", "boolean", "nan", "number", "text", "bytes", "other")


def kind(value: Any) -> str:
    if value is NOTHING:
        return "nothing"
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    names = {type(None): "null", bool: "boolean", int: "number", float: "number", str: "text", bytes: "bytes"}
    return names.get(type(value), "other")


def look(item: Any, path: Path) -> Any:
    for field in path.fields:
        if not isinstance(item, dict) or field not in item:
            return NOTHING
        item = item[field]
    return item


def value_of(item: Any, operand: Operand) -> Any:
    return look(item, operand) if isinstance(operand, Path) else operand.value


def compared(how: str, one: Any, other: Any) -> bool | None:
    kinds = {kind(one), kind(other)}
    if "nothing" in kinds:
        return None
    if "null" in kinds:
        return {"=": len(kinds) == 1, "!=": len(kinds) == 2}.get(how)
    if kinds == {"nan"} or kinds == {"nan", "number"}:
        return how == "!="
    if len(kinds) == 2 or kinds == {"other"} or (kinds == {"boolean"} and how not in ("=", "!=")):
        return None
    how_they_are = {"=" if one == other else "!=", *(("<",) if one < other else (">",) if one > other else ())}
    return not how_they_are.isdisjoint({"<=": {"<", "="}, ">=": {">", "="}}.get(how, {how}))


def like(text: str, pattern: str) -> bool:
    """Try everything: a % takes nothing, or one character more."""

    @functools.cache
    def matches(at: int, place: int) -> bool:
        if place == len(pattern):
            return at == len(text)
        rest = pattern[place]
        if rest == "%":
            return matches(at, place + 1) or (at < len(text) and matches(at + 1, place))
        if at == len(text):
            return False
        if rest == "_":
            return matches(at + 1, place + 1)
        if rest == "\\" and place + 1 < len(pattern):
            place, rest = place + 1, pattern[place + 1]
        return text[at] == rest and matches(at + 1, place + 1)

    return matches(0, 0)


def holds(item: Any, condition: Condition) -> bool | None:
    match condition:
        case Comparison(how, left, right):
            return compared(how, value_of(item, left), value_of(item, right))
        case Like(path, pattern):
            text = look(item, path)
            return like(text, pattern) if kind(text) == "text" else None
        case In(path, among):
            value = look(item, path)
            return None if value is NOTHING else any(compared("=", value, each) for each in among)
        case Defined(path):
            return look(item, path) is not NOTHING
        case Holds(operand):
            value = value_of(item, operand)
            return value if isinstance(value, bool) else None
        case Not(inner):
            return {True: False, False: True, None: None}[holds(item, inner)]
        case AllOf(conditions):
            results = [holds(item, each) for each in conditions]
            return False if False in results else None if None in results else True
        case AnyOf(conditions):
            results = [holds(item, each) for each in conditions]
            return True if True in results else None if None in results else False


def matching(query: Query, entries: Mapping[Any, Any]) -> list[Any]:
    """Return the items of which the condition is true; an entry whose value is None was invalidated."""
    items: list[Any] = []
    for key, value in entries.items():
        if query.over == "keys":
            items.append(key)
        elif query.over == "entries":
            items.append({"key": key, "value": value})
        elif value is not None:
            items.append(value)
    return [item for item in items if query.where is None or holds(item, query.where) is True]


def selected(query: Query, item: Any) -> Any:
    if not query.columns:
        return item
    if not query.columns[0].name:
        return look(item, query.columns[0].path)
    found = {column.name: look(item, column.path) for column in query.columns}
    return {name: value for name, value in found.items() if value is not NOTHING}


def sorted_before(query: Query, one: Any, other: Any) -> int:
    """Return -1, 0 or 1: how two items are ordered."""
    for order in query.order:
        values = [look(each, order.path) for each in (one, other)]
        places = [KINDS.index(kind(value)) for value in values]
        how = (places[0] > places[1]) - (places[0] < places[1])
        if not how and kind(values[0]) not in ("nothing", "null", "nan", "other"):
            how = (values[0] > values[1]) - (values[0] < values[1])
        if how:
            return -how if order.descending else how
    return 0
