"""Rows as a table of texts: a column for every field where rows have fields, else one that is called Result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heliograph.model.keys import shown_value
from heliograph.model.results import Table
from heliograph.query.evaluation import UNDEFINED
from heliograph.query.selection import Row, decoded_row
from heliograph.query.tree import Query

RESULT = "Result"
COLUMNS_MAX = 100
"""Fields beyond which rows are shown whole: every row has a cell for every field of every other."""


def table_of(query: Query, rows: Sequence[Row]) -> Table:
    """Return rows as a table; what a row does not have is UNDEFINED."""
    values = [decoded_row(row) for row in rows]
    columns = query.named or _fields(values)
    if not columns:
        return Table((RESULT,), [(_shown(value),) for value in values])
    return Table(columns, [tuple(_shown(_field(value, column)) for column in columns) for value in values])


def _fields(values: Sequence[Any]) -> tuple[str, ...]:
    """Return the fields of all values, in the order in which they come first; none where one has no fields."""
    fields: dict[str, None] = {}
    for value in values:
        if type(value) is not dict or not all(isinstance(field, str) for field in value):
            return ()
        fields.update(dict.fromkeys(value))
    return tuple(fields) if len(fields) <= COLUMNS_MAX else ()


def _field(value: Any, name: str) -> Any:
    return value.get(name, UNDEFINED) if type(value) is dict else UNDEFINED


def _shown(value: Any) -> str:
    return value.value if value is UNDEFINED else shown_value(value)
