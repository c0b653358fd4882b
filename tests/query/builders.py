"""Queries of all kinds, for Hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from heliograph.query.parser import PATTERN_CHARS_MAX
from heliograph.query.tree import (
    AllOf,
    AnyOf,
    Column,
    Comparison,
    Condition,
    Constant,
    Defined,
    Holds,
    In,
    Like,
    Not,
    Operator,
    Order,
    Over,
    Path,
    Query,
    Scalar,
)

FIELDS = ("a", "b", "select", "first name", 'q"', "ü")
"""Few, so that items have what queries ask for."""
TEXTS = st.sampled_from(["", "a", "b", "ab", "aab", "a'b", "A", "%", "_", "a\nb", "ü"])
scalars: st.SearchStrategy[Scalar] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])


def paths(over: Over) -> st.SearchStrategy[Path]:
    """Paths that a query over these may have."""
    fields = st.lists(st.sampled_from(FIELDS), max_size=2)
    match over:
        case "keys":
            return st.just(Path())
        case "values":
            return fields.map(lambda some: Path(tuple(some)))
        case "entries":
            return st.one_of(st.sampled_from([Path(), Path(("key",))]), fields.map(lambda some: Path(("value", *some))))


def conditions(over: Over) -> st.SearchStrategy[Condition]:
    path = paths(over)
    operands = st.one_of(path, scalars.map(Constant))
    compared: st.SearchStrategy[Any] = st.builds(Comparison, _operators(), operands, operands)
    leaves: st.SearchStrategy[Any] = st.one_of(
        compared,
        st.builds(Comparison, _operators(), path, scalars.map(Constant)),
        st.builds(Like, path, st.text("a_%\\b'", max_size=min(6, PATTERN_CHARS_MAX))),
        st.builds(In, path, st.lists(scalars, min_size=1, max_size=4).map(tuple)),
        st.builds(Defined, path),
        st.builds(Holds, st.one_of(path, st.booleans().map(Constant))),
    )

    def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(inner.map(Not), several.map(AllOf), several.map(AnyOf))

    return st.recursive(leaves, grown, max_leaves=6)


def _operators() -> st.SearchStrategy[Operator]:
    return operators  # type: ignore[return-value]  # they are the operators


@st.composite
def queries(draw: st.DrawFn) -> Query:
    over: Over = draw(st.sampled_from(["values", "keys", "entries"]))
    path = paths(over)
    where = draw(st.none() | conditions(over))
    limit = draw(st.none() | st.integers(0, 8))
    region = draw(st.sampled_from(["r", "customer-2", "_7"]))
    if draw(st.integers(0, 5)) == 0:
        return Query(region, over, counting=True, where=where, limit=limit)
    names = draw(st.lists(st.sampled_from(FIELDS), unique=True, max_size=3))
    columns = tuple(Column(draw(path), name) for name in names)
    if len(columns) == 1 and draw(st.booleans()):
        columns = (Column(columns[0].path),)
    distinct = draw(st.booleans())
    ordered = st.sampled_from([column.path for column in columns]) if distinct and columns else path
    order = tuple(draw(st.lists(st.builds(Order, ordered, st.booleans()), max_size=2)))
    return Query(region, over, columns, False, distinct, where, order, limit)


def values() -> st.SearchStrategy[Any]:
    """Values of entries."""
    leaves = st.one_of(scalars, st.just(float("nan")), st.binary(max_size=2))
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4), st.lists(inner, max_size=2)
        ),
        max_leaves=6,
    )
