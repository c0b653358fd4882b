from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heliograph.model.results import Table
from heliograph.query.parser import parse_query
from heliograph.query.selection import Row
from heliograph.query.table import COLUMNS_MAX, table_of

encode = msgspec.msgpack.Encoder().encode


def shown(text: str, *values: Any) -> Table:
    return table_of(parse_query(text), [Row(b"" if value is ... else encode(value)) for value in values])


@pytest.mark.parametrize(
    ("text", "values", "columns", "rows"),
    [
        ("SELECT * FROM /r", ["a", 1, None, True, [1], ...], ("Result",),
         [("a",), ("1",), ("null",), ("true",), ("[1]",), ("UNDEFINED",)]),
        ("SELECT * FROM /r", [{"b": 1, "a": "x"}, {"c": {"d": 2}, "a": None}], ("b", "a", "c"),
         [("1", "x", "UNDEFINED"), ("UNDEFINED", "null", '{"d":2}')]),
        ("SELECT * FROM /r", [{"a": 1}, "x"], ("Result",), [('{"a":1}',), ("x",)]),
        ("SELECT * FROM /r", [{1: 2}], ("Result",), [('{"1":2}',)]),
        ("SELECT * FROM /r", [{}], ("Result",), [("{}",)]),
        ("SELECT b, c.a FROM /r c", [{"a": 1}, {}, ...], ("b", "a"),
         [("UNDEFINED", "1"), ("UNDEFINED",) * 2, ("UNDEFINED",) * 2]),
        ("SELECT b, a FROM /r", [], ("b", "a"), []),
        ("SELECT b FROM /r", [], ("Result",), []),
        ("SELECT b AS n FROM /r", [{"n": 1}], ("n",), [("1",)]),
        ("SELECT * FROM /r.entries", [{"key": 1, "value": {"a": 2}}], ("key", "value"), [("1", '{"a":2}')]),
    ],
)  # fmt: skip
def test_rows_are_shown(text: str, values: list[Any], columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    assert shown(text, *values) == Table(columns, rows)


def test_rows_of_too_many_fields_are_shown_whole() -> None:
    fields = {f"f{number}": number for number in range(COLUMNS_MAX)}
    assert len(shown("SELECT * FROM /r", fields, {"f1": 1}).columns) == COLUMNS_MAX
    assert shown("SELECT * FROM /r", fields, {"more": 1}).columns == ("Result",)
