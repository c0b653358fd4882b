"""What is read, what is refused and where; and that nothing crashes."""

from __future__ import annotations

import string
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import UsageError
from heliograph.query.parser import DEPTH_MAX, PATTERN_CHARS_MAX, WILD_CHARS_MAX, parse_query
from heliograph.query.tokens import QUERY_CHARS_MAX
from heliograph.query.tree import (
    AllOf,
    AnyOf,
    Column,
    Comparison,
    Constant,
    Defined,
    Holds,
    In,
    Like,
    Not,
    Order,
    Path,
    Query,
)
from tests.query.builders import queries
from tests.query.writer import query_text

WORDS = (
    "SELECT", "DISTINCT", "*", "COUNT", "(", ")", "FROM", "/r", ".", "keys", "values", "entries", "alias", "this",
    "key", "value", "WHERE", "=", "!=", "<", "LIKE", "IN", "SET", "'a'", '"b"', "1", "-2.5", "TRUE", "NULL",
    "IS_DEFINED", "NOT", "IS_UNDEFINED", "AND", "OR", "ORDER", "BY", "ASC", "DESC", "LIMIT", ",", "AS", ";", "GROUP",
    "a.b",
)  # fmt: skip
AGE, NAME = Path(("age",)), Path(("name",))


@settings(deadline=None)
@given(queries())
def test_a_query_is_read_as_it_is_written(query: Query) -> None:
    assert parse_query(query_text(query)) == query


@settings(deadline=None)
@given(st.text(max_size=80) | st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join))
def test_any_text_is_a_query_or_is_refused(text: str) -> None:
    try:
        query = parse_query(text)
    except UsageError:
        return
    assert parse_query(query_text(query)) == query


@settings(max_examples=60, deadline=None)
@given(queries(), st.integers(0, 200), st.sampled_from([*string.printable, "", "ü", "\ud800"]))
def test_a_query_with_one_other_character_is_a_query_or_is_refused(query: Query, at: int, other: str) -> None:
    text = query_text(query)
    with suppress(UsageError):
        parse_query(text[:at] + other + text[at + 1 :])


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("SELECT * FROM /customer", Query("customer")),
        ("select distinct * from /r ;", Query("r", distinct=True)),
        ("SELECT c FROM /r AS c", Query("r", columns=(Column(Path()),))),
        ("SELECT age FROM /r", Query("r", columns=(Column(AGE),))),
        ("SELECT c.age AS years FROM /r c", Query("r", columns=(Column(AGE, "years"),))),
        ("SELECT c, this.age, name FROM /r c",
         Query("r", columns=(Column(Path(), "c"), Column(AGE, "age"), Column(NAME, "name")))),
        ("SELECT COUNT(*) FROM /r WHERE TRUE", Query("r", counting=True, where=Holds(Constant(True)))),
        ("SELECT count FROM /r", Query("r", columns=(Column(Path(("count",))),))),
        ("SELECT * FROM /r.keySet() k WHERE k LIKE 'a%'", Query("r", "keys", where=Like(Path(), "a%"))),
        ("SELECT * FROM /r.values", Query("r")),
        ("SELECT e.key, e.value.age FROM /r.entries e",
         Query("r", "entries", (Column(Path(("key",)), "key"), Column(Path(("value", "age")), "age")))),
        ("SELECT * FROM /r o WHERE o.from.\"last name\" = 'O''Hara'",
         Query("r", where=Comparison("=", Path(("from", "last name")), Constant("O'Hara")))),
        ("SELECT o.from FROM /r o", Query("r", columns=(Column(Path(("from",))),))),
        ("SELECT * FROM /r WHERE -5 <> age", Query("r", where=Comparison("!=", Constant(-5), AGE))),
        ("SELECT * FROM /r WHERE age == 1.5e3", Query("r", where=Comparison("=", AGE, Constant(1500.0)))),
        ("SELECT * FROM /r WHERE a OR b AND NOT c OR d",
         Query("r", where=AnyOf((
             Holds(Path(("a",))),
             AllOf((Holds(Path(("b",))), Not(Holds(Path(("c",)))))),
             Holds(Path(("d",))),
         )))),
        ("SELECT * FROM /r WHERE (a OR b) AND IS_UNDEFINED(c)",
         Query("r", where=AllOf((
             AnyOf((Holds(Path(("a",))), Holds(Path(("b",))))),
             Not(Defined(Path(("c",)))),
         )))),
        ("SELECT * FROM /r WHERE age IN SET (1, 'x', NULL, -2)", Query("r", where=In(AGE, (1, "x", None, -2)))),
        ("SELECT * FROM /r ORDER BY age DESC, name ASC, this LIMIT 0",
         Query("r", order=(Order(AGE, True), Order(NAME), Order(Path())), limit=0)),
        ("SELECT DISTINCT name FROM /r ORDER BY name.last",
         Query("r", columns=(Column(NAME),), distinct=True, order=(Order(Path(("name", "last"))),))),
    ],
)  # fmt: skip
def test_what_is_read(text: str, query: Query) -> None:
    assert parse_query(text) == query


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("", "column 1: expected SELECT, not the end"),
        ("IMPORT com.x.Y; SELECT * FROM /r", "column 1: expected SELECT, not IMPORT"),
        ("DEFINE q AS SELECT * FROM /r", "column 1: expected SELECT, not DEFINE"),
        ("SELECT FROM /r", r"column 8: expected \*, COUNT\(\*\) or a path, not FROM"),
        ("SELECT *", "column 9: expected FROM, not the end"),
        ("SELECT * FRM /r", "column 10: expected FROM, not FRM"),
        ("SELECT a, b FRM /r", "column 13: expected ',', AS or FROM, not FRM"),
        ("SELECT * FROM r", "column 15: expected a region like /customer, not r"),
        ("SELECT * FROM /-r", r"column 15: '/' is no word of a query"),
        ("SELECT * FROM /a/b", "column 17: regions have no sub-regions"),
        ("SELECT * FROM /r.size", "column 18: expected keys, values or entries, not size"),
        ("SELECT * FROM /a x, /b y", "column 19: a query is over one region: joins are not offered"),
        ("SELECT * FROM (SELECT * FROM /r)", "column 15: expected a region like /customer, not [(]"),
        ("SELECT *, a FROM /r", "column 9: expected FROM, not ,"),
        ("SELECT a b FROM /r", "column 10: expected ',', AS or FROM, not b"),
        ("SELECT a.b, c.b FROM /r", "column 13: two columns would be called b: name one of them, with AS"),
        ("SELECT a AS 'b' FROM /r", 'column 13: expected a name, or "a name", not \'b\''),
        ("SELECT COUNT(a) FROM /r", "column 14: expected [*], not a"),
        ("SELECT SUM(a) FROM /r", r"column 11: functions and methods are not offered, but IS_DEFINED\(path\)"),
        ("SELECT DISTINCT COUNT(*) FROM /r", "goes with neither DISTINCT nor ORDER BY"),
        ("SELECT COUNT(*) FROM /r ORDER BY a", "column 25: .* goes with neither DISTINCT nor ORDER BY"),
        ("SELECT DISTINCT a FROM /r ORDER BY b", "column 27: with DISTINCT, rows can be ordered by what is selected"),
        ("SELECT * FROM /r WHERE a.startsWith('b')", "column 36: functions and methods are not offered"),
        ("SELECT * FROM /r WHERE a = (SELECT * FROM /b)", "column 28: expected a path or a constant, not [(]"),
        ("SELECT * FROM /r WHERE (SELECT * FROM /b)", "column 25: a query inside a query is not offered"),
        ("SELECT * FROM /r WHERE a IN (1, 2)", r"column 29: expected SET\(constant, …\), not [(]"),
        ("SELECT * FROM /r WHERE a IN SET(1, b)", "column 36: expected a constant, not a path"),
        ("SELECT * FROM /r WHERE a IN SET()", "column 33: expected a constant, not [)]"),
        ("SELECT * FROM /r WHERE a NOT LIKE 'b'", "column 26: .* write NOT before the whole of it"),
        ("SELECT * FROM /r WHERE a LIKE b", "column 31: expected a pattern in single quotes, not b"),
        ("SELECT * FROM /r WHERE a BETWEEN 1 AND 2", "column 26: expected AND, OR, ORDER BY, LIMIT or the end"),
        ("SELECT * FROM /r WHERE a = \"b\"", "column 28: .* a text is in single quotes"),
        ("SELECT * FROM /r WHERE a = 'b", "column 28: the text that begins here does not end"),
        ("SELECT * FROM /r WHERE a.\"", "column 26: the name that begins here is empty or does not end"),
        ("SELECT * FROM /r WHERE a = 5L", "column 28: expected a number .* without a letter at its end"),
        ("SELECT * FROM /r WHERE a = - b", "column 30: expected a number, not b"),
        ("SELECT * FROM /r WHERE a = 1e999", "column 28: the number 1e999 is too large"),
        ("SELECT * FROM /r WHERE a = $1", r"column 28: '\$' is no word of a query"),
        ("SELECT * FROM /r WHERE a[0] = 1", r"column 25: '\[' is no word of a query"),
        ("SELECT * FROM /r WHERE a + 1 = 2", r"column 26: '\+' is no word of a query"),
        ("SELECT * FROM /r WHERE 'a'", "column 27: expected a comparison, not the end"),
        ("SELECT * FROM /r WHERE UNDEFINED = a", "column 24: expected a path, a constant, NOT"),
        ("SELECT * FROM /r WHERE (a", "column 26: expected AND, OR or '[)]', not the end"),
        ("SELECT * FROM /r WHERE a.(b)", "column 26: expected the name of a field, not [(]"),
        ("SELECT * FROM /r GROUP BY a", "column 18: expected WHERE, ORDER BY, LIMIT or the end, not GROUP"),
        ("SELECT * FROM /r AS where", "column 21: expected an alias, not where"),
        ("SELECT * FROM /r ORDER BY a GROUP BY a", "column 29: expected LIMIT or the end, not GROUP"),
        ("SELECT * FROM /r LIMIT 5 5", "column 26: expected the end, not 5"),
        ("SELECT * FROM /r LIMIT -1", "column 24: expected a number, 0 or more, not -"),
        ("SELECT * FROM /r LIMIT 1.5", "column 24: expected a number, 0 or more, not 1.5"),
        ("SELECT a FROM /r.keys", "column 8: a key has no fields: name the key itself by this"),
        ("SELECT k.a FROM /r.keys k", "column 8: a key has no fields: name the key itself by k"),
        ("SELECT * FROM /r.entries WHERE name = 1", "column 32: an entry has the fields key and value, but no name"),
        ("SELECT * FROM /r.entries e WHERE e.key.a = 1", "column 34: a key has no fields"),
        (f"SELECT * FROM /{'r' * 200}", "can't name a region"),
        (f"SELECT * FROM /r WHERE a LIKE '{'a' * (PATTERN_CHARS_MAX + 1)}'", "column 31: a pattern may have 256"),
        (
            f"SELECT * FROM /r WHERE a LIKE '%_{'a' * (WILD_CHARS_MAX - 2)}' OR a LIKE '_%'",
            "column 108: patterns with _ and % may have 64 characters in all",
        ),
    ],
)  # fmt: skip
def test_what_is_refused_and_where(text: str, refused: str) -> None:
    with pytest.raises(UsageError, match=refused):
        parse_query(text)


def test_how_long_and_how_deep_a_query_may_be() -> None:
    start = "SELECT * FROM /r WHERE "
    for opening, closing in (("(", ")"), ("NOT ", "")):
        levels = DEPTH_MAX - 1
        parse_query(start + opening * levels + "a" + closing * levels)
        with pytest.raises(UsageError, match=f"nested too deeply: {DEPTH_MAX} levels are allowed"):
            parse_query(start + opening * (levels + 1) + "a" + closing * (levels + 1))
    longest = start + "a".ljust(QUERY_CHARS_MAX - len(start), "a")
    parse_query(longest)
    with pytest.raises(UsageError, match=f"a query of 4097 characters is too long: it may have {QUERY_CHARS_MAX}"):
        parse_query(longest + "a")
