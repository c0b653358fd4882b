"""What a query selects: at a server from entries, at whoever asked the servers from what these selected.

Both hold no more rows than the query asks for, or twice as many while they are being sorted, and no more than
`ROWS_BYTES_MAX` bytes of them and of what they are sorted by, which fit into a message.
"""

from __future__ import annotations

from typing import Any

import msgspec

from heliograph.errors import TooLargeError, UsageError
from heliograph.model.decoding import MALFORMED
from heliograph.model.keys import NO_VALUE, Key, decode_value
from heliograph.query.evaluation import UNDEFINED, Item, OrderKey, order_key, read_of, test_of
from heliograph.query.tree import KEY, VALUE, Query

ROWS_MAX = 10_000
ROWS_BYTES_MAX = 8 * 1024 * 1024
UNLIMITED = -1
"""The limit of a COUNT(*) that has none."""

_encode = msgspec.msgpack.Encoder().encode


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A row. value: encoded as values are; empty for UNDEFINED. order: what it is sorted by."""

    value: bytes
    order: tuple[OrderKey, ...] = ()

    @property
    def size(self) -> int:
        """Its bytes, about."""
        return len(self.value) + (len(_encode(self.order)) if self.order else 0)


def limit_of(query: Query, default: int) -> int:
    """Return how many rows a query selects at most, or counts. default: without a LIMIT; COUNT(*) has none then.

    Raises UsageError for more than `ROWS_MAX` rows.
    """
    if query.counting:
        return UNLIMITED if query.limit is None else query.limit
    limit = default if query.limit is None else query.limit
    if not 0 <= limit <= ROWS_MAX:
        raise UsageError(f"the limit {limit} is out of range: use 0 to {ROWS_MAX}")
    return limit


class Rows:
    """The first rows of a query, in the order that it asks for, `limit` at most."""

    def __init__(self, query: Query, limit: int) -> None:
        self._query = query
        self._limit = limit
        self._rows: list[Row] = []
        self._seen: set[bytes] = set()
        self._bytes = 0

    def add(self, row: Row) -> None:
        """Take a row. Raises TooLargeError."""
        if self._query.distinct:
            if row.value in self._seen:
                return
            self._seen.add(row.value)
        self._rows.append(row)
        self._bytes += row.size
        if len(self._rows) >= 2 * self._limit or self._bytes > ROWS_BYTES_MAX:
            self._cut()

    @property
    def full(self) -> bool:
        """Say whether no further row could change anything."""
        return not self._query.order and len(self._rows) >= self._limit

    def first(self) -> list[Row]:
        """Return the rows."""
        self._cut()
        return list(self._rows)

    def _cut(self) -> None:
        for place, order in reversed(list(enumerate(self._query.order))):
            self._rows.sort(key=lambda row: row.order[place], reverse=order.descending)
        for row in self._rows[self._limit :]:
            self._bytes -= row.size
            self._seen.discard(row.value)
        del self._rows[self._limit :]
        if self._bytes > ROWS_BYTES_MAX:
            raise TooLargeError(
                f"the rows, with what they are sorted by, have more than {ROWS_BYTES_MAX} bytes: give a smaller LIMIT, "
                "or select some fields only"
            )


class Selection:
    """What a query selects from entries, or how many it counts. limit: see `limit_of`."""

    def __init__(self, query: Query, limit: int) -> None:
        self.rows = Rows(query, limit)
        self.count = 0
        self._query = query
        self._limit = limit
        self._test = None if query.where is None else test_of(query.where)
        self._order = [read_of(each.path) for each in query.order]
        self._columns = [(column.name, read_of(column.path)) for column in query.columns]
        self._looks = self._test is not None or bool(self._order) or bool(self._columns)

    def add(self, key: Key, value: bytes) -> None:
        """Look at an entry. Raises TooLargeError.

        One that was invalidated has no value: it is none of the values, and NULL as the value of an entry.
        """
        if value == NO_VALUE and self._query.over == "values":
            return
        item = self._item(key, value) if self._looks else None
        if self._test is not None and self._test(item) is not True:
            return
        if self._query.counting:
            self.count += 1
        else:
            self.rows.add(Row(self._row(key, value, item), tuple(order_key(read(item)) for read in self._order)))

    @property
    def full(self) -> bool:
        """Say whether no further entry could change anything."""
        if self._query.counting:
            return self._limit != UNLIMITED and self.count >= self._limit
        return self.rows.full

    def _item(self, key: Key, value: bytes) -> Item:
        match self._query.over:
            case "keys":
                return key
            case "values":
                return _decoded(value)
            case "entries":
                return {KEY: key, VALUE: _decoded(value)}

    def _row(self, key: Key, value: bytes, item: Item) -> bytes:
        if self._columns:
            return self._projected(item)
        match self._query.over:
            case "keys":
                return _encode(key)
            case "values":
                return value
            case "entries":
                return _encode({KEY: key, VALUE: msgspec.Raw(value)})

    def _projected(self, item: Item) -> bytes:
        selected = [(name, read(item)) for name, read in self._columns]
        if not selected[0][0]:
            return _encoded(selected[0][1])
        return _encoded({name: value for name, value in selected if value is not UNDEFINED})


def decoded_row(row: Row) -> Any:
    """Return what is in a row."""
    return _decoded(row.value) if row.value else UNDEFINED


def _decoded(value: bytes) -> Any:
    """Return a value; UNDEFINED for what a program put that is none."""
    try:
        return decode_value(value)
    except MALFORMED:
        return UNDEFINED


def _encoded(value: Any) -> bytes:
    """Encode what was decoded; empty for UNDEFINED, and for what is too deep to stand in a row."""
    try:
        return b"" if value is UNDEFINED else _encode(value)
    except RecursionError:
        return b""
