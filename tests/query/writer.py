"""Writes queries: `parse_query(query_text(query)) == query`."""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.query.tree import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Constant,
    Defined,
    Holds,
    In,
    Like,
    Not,
    Operand,
    Path,
    Query,
    Scalar,
)


def query_text(query: Query) -> str:
    """Return a query as a text."""
    words = ["SELECT"]
    if query.distinct:
        words.append("DISTINCT")
    if query.counting:
        words.append("COUNT(*)")
    else:
        columns = [_path(each.path) + (f" AS {_quoted(each.name)}" if each.name else "") for each in query.columns]
        words.append(", ".join(columns) or "*")
    words.append(f"FROM /{query.region}.{query.over}")
    if query.where is not None:
        words.append(f"WHERE {_condition(query.where)}")
    if query.order:
        orders = [f"{_path(each.path)} {'DESC' if each.descending else 'ASC'}" for each in query.order]
        words.append(f"ORDER BY {', '.join(orders)}")
    if query.limit is not None:
        words.append(f"LIMIT {query.limit}")
    return " ".join(words)


def _condition(condition: Condition) -> str:
    match condition:
        case Comparison(operator, left, right):
            return f"{_operand(left)} {operator} {_operand(right)}"
        case Like(path, pattern):
            return f"{_path(path)} LIKE {_constant(pattern)}"
        case In(path, among):
            return f"{_path(path)} IN SET({', '.join(map(_constant, among))})"
        case Defined(path):
            return f"IS_DEFINED({_path(path)})"
        case Holds(operand):
            return _operand(operand)
        case Not(inner):
            return f"NOT ({_condition(inner)})"
        case AllOf(conditions):
            return _joined("AND", conditions)
        case AnyOf(conditions):
            return _joined("OR", conditions)


def _joined(word: str, conditions: Sequence[Condition]) -> str:
    return f" {word} ".join(
        f"({_condition(each)})" if isinstance(each, AllOf | AnyOf) else _condition(each) for each in conditions
    )


def _operand(operand: Operand) -> str:
    return _constant(operand.value) if isinstance(operand, Constant) else _path(operand)


def _path(path: Path) -> str:
    return ".".join(("this", *map(_quoted, path.fields)))


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _constant(value: Scalar) -> str:
    if isinstance(value, str):
        doubled = value.replace("'", "''")
        return f"'{doubled}'"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    return "NULL" if value is None else str(value).upper()
