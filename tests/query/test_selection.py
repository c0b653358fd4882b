"""What is selected, against a model that is said the simple way; at one server, and merged from several."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import TooLargeError, UsageError
from heliograph.model.keys import NO_VALUE
from heliograph.query.evaluation import UNDEFINED, order_key
from heliograph.query.parser import parse_query
from heliograph.query.selection import ROWS_BYTES_MAX, ROWS_MAX, UNLIMITED, Row, Rows, Selection, decoded_row, limit_of
from heliograph.query.tree import Query
from tests.query import model
from tests.query.builders import queries, values

encode = msgspec.msgpack.Encoder().encode
ENTRIES = st.dictionaries(st.integers(0, 50) | st.sampled_from(["a", "b", "aab"]), values(), max_size=12)


def select(query: Query, entries: Mapping[Any, Any], limit: int) -> Selection:
    selection = Selection(query, limit)
    for key, value in entries.items():
        if not selection.full:
            selection.add(key, encode(value))
    return selection


def check(query: Query, entries: Mapping[Any, Any], limit: int, rows: list[Row]) -> None:
    """See that rows are among those of the model, and the first of them, whichever of those that sort alike."""
    items = model.matching(query, entries)
    items.sort(key=functools.cmp_to_key(lambda one, other: model.sorted_before(query, one, other)))
    expected = [(_encoded(model.selected(query, item)), _order(query, item)) for item in items]
    if query.distinct:
        expected = list(dict(reversed(expected)).items())[::-1]
    assert [row.order for row in rows] == [order for _, order in expected[:limit]]
    assert Counter(row.value for row in rows) <= Counter(value for value, _ in expected)


def _encoded(row: Any) -> bytes:
    return b"" if row is model.NOTHING else encode(row)


def _order(query: Query, item: Any) -> tuple[Any, ...]:
    found = [model.look(item, each.path) for each in query.order]
    return tuple(order_key(UNDEFINED if value is model.NOTHING else value) for value in found)


@settings(max_examples=80, deadline=None)
@given(queries(), ENTRIES, st.integers(1, 14))
def test_one_server_selects_what_the_model_does(query: Query, entries: dict[Any, Any], limit: int) -> None:
    selection = select(query, entries, limit)
    if query.counting:
        assert selection.count == min(limit, len(model.matching(query, entries)))
        assert select(query, entries, UNLIMITED).count == len(model.matching(query, entries))
    else:
        check(query, entries, limit, selection.rows.first())


@settings(max_examples=80, deadline=None)
@given(queries(), ENTRIES, st.integers(1, 14), st.integers(1, 4))
def test_servers_select_together_what_the_model_does(
    query: Query, entries: dict[Any, Any], limit: int, servers: int
) -> None:
    merging = Rows(query, limit)
    counted = 0
    for server in range(servers):
        share = {key: value for at, (key, value) in enumerate(entries.items()) if at % servers == server}
        selection = select(query, share, limit)
        counted += selection.count
        for row in msgspec.msgpack.decode(encode(selection.rows.first()), type=list[Row]):
            if not merging.full:
                merging.add(row)
    if query.counting:
        assert min(limit, counted) == min(limit, len(model.matching(query, entries)))
    else:
        check(query, entries, limit, merging.first())


@settings(deadline=None)
@given(st.text("ab_", max_size=12), st.text("ab%_\\", max_size=8))
def test_like(text: str, pattern: str) -> None:
    query = parse_query(f"SELECT * FROM /r WHERE this LIKE '{pattern}'")
    assert len(select(query, {0: text}, 1).rows.first()) == model.like(text, pattern)


def rows_of(text: str, *items: Any, limit: int = 100) -> list[Any]:
    query = parse_query(text)
    return [decoded_row(row) for row in select(query, dict(enumerate(items)), limit).rows.first()]


def test_what_queries_are_for() -> None:
    ada, bob = {"name": "Ada", "age": 36, "at": {"city": "London"}}, {"name": "Bob", "age": "old"}
    for text, rows in (
        ("SELECT * FROM /r WHERE age > 30", [ada]),
        ("SELECT name FROM /r WHERE NOT (age > 30)", []),
        ("SELECT name FROM /r WHERE age > 30 OR name LIKE 'B%'", ["Ada", "Bob"]),
        ("SELECT p.at.city FROM /r p", ["London", UNDEFINED]),
        ("SELECT p.at.city AS city, name FROM /r p", [{"city": "London", "name": "Ada"}, {"name": "Bob"}]),
        ("SELECT key FROM /r.entries e WHERE IS_DEFINED(value.at)", [0]),
        ("SELECT * FROM /r.keys k WHERE k IN SET(1, 'x')", [1]),
        ("SELECT name FROM /r ORDER BY age DESC", ["Bob", "Ada"]),
    ):
        assert rows_of(text, ada, bob) == rows


def test_times_are_compared_with_each_other_only() -> None:
    early, late = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    assert rows_of("SELECT * FROM /r ORDER BY this", late, early) == [early, late]
    assert rows_of("SELECT * FROM /r WHERE a < b", {"a": early, "b": late}, {"a": late, "b": 5}) == [
        {"a": early, "b": late}
    ]


def test_an_entry_that_was_invalidated_has_no_value() -> None:
    for over, rows in (("values", []), ("keys", ["k"]), ("entries", [{"key": "k", "value": None}])):
        selection = Selection(Query("r", over), 5)  # type: ignore[arg-type]
        selection.add("k", NO_VALUE)
        assert [decoded_row(row) for row in selection.rows.first()] == rows


@pytest.mark.parametrize("value", [b"\xc1", b"\x91" * 5_000, b"\xa1\xff", b""])
def test_what_is_no_value_is_undefined(value: bytes) -> None:
    for text, rows in (
        ("SELECT * FROM /r", [UNDEFINED]),
        ("SELECT a FROM /r", [UNDEFINED]),
        ("SELECT * FROM /r WHERE this = 1", []),
        ("SELECT * FROM /r ORDER BY a", [UNDEFINED]),
        ("SELECT key FROM /r.entries", ["k"]),
        ("SELECT * FROM /r.entries", [UNDEFINED]),
    ):
        selection = Selection(parse_query(text), 5)
        selection.add("k", value)
        assert [decoded_row(row) for row in selection.rows.first()] == rows


def test_rows_are_bounded() -> None:
    assert limit_of(parse_query("SELECT * FROM /r"), 7) == 7
    assert limit_of(parse_query("SELECT * FROM /r LIMIT 3"), 7) == 3
    assert limit_of(parse_query("SELECT COUNT(*) FROM /r"), 7) == UNLIMITED
    assert limit_of(parse_query("SELECT COUNT(*) FROM /r LIMIT 1000000"), 7) == 1_000_000
    for query, default in (("SELECT * FROM /r LIMIT 10001", 1), ("SELECT * FROM /r", ROWS_MAX + 1)):
        with pytest.raises(UsageError, match="the limit 10001 is out of range: use 0 to 10000"):
            limit_of(parse_query(query), default)


def test_bytes_of_rows_are_bounded() -> None:
    size = ROWS_BYTES_MAX // 4
    ordered = Selection(parse_query("SELECT * FROM /r ORDER BY n DESC"), 3)
    for number in range(12):
        ordered.add(number, encode({"n": number, "x": bytes(size)}))
    assert [decoded_row(row)["n"] for row in ordered.rows.first()] == [11, 10, 9]
    plain = Selection(parse_query("SELECT * FROM /r"), 100)
    for number in range(3):
        plain.add(number, encode(bytes(size)))
    with pytest.raises(TooLargeError, match="give a smaller LIMIT, or select some fields only"):
        plain.add(3, encode(bytes(size)))
    sorting = Selection(parse_query("SELECT n FROM /r ORDER BY x"), 100)
    for number in range(3):
        sorting.add(number, encode({"n": number, "x": bytes(size)}))
    with pytest.raises(TooLargeError, match="give a smaller LIMIT"):
        sorting.add(3, encode({"n": 3, "x": bytes(size)}))
