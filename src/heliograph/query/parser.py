"""Reads queries: the part of GemFire's query language that selects entries of one region.

    query     := SELECT [DISTINCT] columns FROM source [WHERE condition] [ORDER BY order, …] [LIMIT number] [;]
    columns   := * | COUNT(*) | path [AS name], …
    source    := /region[.keys|.values|.entries] [[AS] alias]
    order     := path [ASC|DESC]
    condition := alternative OR …                 alternative := term AND …
    term      := NOT term | (condition) | IS_DEFINED(path) | IS_UNDEFINED(path) | operand [comparison]
    comparison := (= | == | != | <> | < | <= | > | >=) operand | LIKE 'pattern' | IN SET(constant, …)
    operand   := path | constant                  constant := 'text' | number | TRUE | FALSE | NULL
    path      := name[.field]…                    the first name is the alias, this, or a field of the item

Keywords are in any case. Everything else of the language is refused, with its column and what may stand there.
"""

from __future__ import annotations

import math

from heliograph.errors import UsageError
from heliograph.model.ids import check_region_name
from heliograph.query.tokens import Token, refusal, tokens_of
from heliograph.query.tree import (
    KEY,
    VALUE,
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
    Operand,
    Operator,
    Order,
    Over,
    Path,
    Query,
    Scalar,
)

DEPTH_MAX = 50
"""Of parentheses and NOTs inside each other."""
PATTERN_CHARS_MAX = 256
"""Of one pattern."""
WILD_CHARS_MAX = 64
"""Of all patterns of a query that have both _ and %: to look for such a one in a text takes as long as both are,
multiplied, at worst, and nobody else is answered meanwhile: about a second for a value of the largest size."""

_OVER: dict[str, Over] = {
    "values": "values",
    "keys": "keys",
    "keyset": "keys",
    "entries": "entries",
    "entryset": "entries",
}
_OPERATORS: dict[str, Operator] = {
    "=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
}  # fmt: skip
_CONSTANTS: dict[str, Scalar] = {"TRUE": True, "FALSE": False, "NULL": None}
_RESERVED = {
    "SELECT", "DISTINCT", "FROM", "WHERE", "ORDER", "BY", "ASC", "DESC", "LIMIT", "AS", "AND", "OR", "NOT", "IN",
    "LIKE", "IS_DEFINED", "IS_UNDEFINED", "UNDEFINED", *_CONSTANTS,
}  # fmt: skip
"""Words that are no alias and begin no path; after a dot they are names of fields as any other."""
_NO_ALIAS = _RESERVED | {
    "GROUP", "HAVING", "TYPE", "UNION", "INTERSECT", "EXCEPT", "JOIN", "INNER", "OUTER", "LEFT", "RIGHT", "CROSS", "ON",
}  # fmt: skip
"""Words that are an alias after AS only: whoever writes them means something else, which is not there."""
_CONDITION = "a path, a constant, NOT, '(', IS_DEFINED or IS_UNDEFINED"
_FUNCTIONS = "functions and methods are not offered, but IS_DEFINED(path), IS_UNDEFINED(path) and SELECT COUNT(*)"


def parse_query(text: str) -> Query:
    """Read a query. Raises UsageError that names the column, and what may stand there."""
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = tokens_of(text)
        self._at = 0
        self._depth = 0
        self._wild = 0
        self._over: Over = "values"
        self._alias = ""

    # --- words

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        if token.kind != "end":
            self._at += 1
        return token

    def _is(self, *words: str) -> bool:
        return self._next.kind in ("word", "symbol") and self._next.text.upper() in words

    def _skip(self, *words: str) -> bool:
        """Go past one of some keywords or symbols, if it comes next."""
        found = self._is(*words)
        self._at += found
        return found

    def _need(self, *words: str) -> None:
        for word in words:
            if not self._skip(word):
                raise self._unexpected(word)

    def _unexpected(self, expected: str) -> UsageError:
        token = self._next
        if token.kind == "word" and token.text.upper() == "SELECT" and self._at:
            return refusal(token.column, "a query inside a query is not offered")
        return refusal(token.column, f"expected {expected}, not {token}")

    # --- clauses

    def query(self) -> Query:
        self._need("SELECT")
        distinct = self._skip("DISTINCT")
        after_select = self._at
        self._pass_columns()
        if not self._skip("FROM"):
            self._at = after_select
            self._columns()  # raises where the columns end without it
        region = self._source()
        after_source, self._at = self._at, after_select
        counting, columns = self._columns()
        self._at = after_source
        where = self._condition() if self._skip("WHERE") else None
        order_column = self._next.column
        order = self._order() if self._skip("ORDER") else ()
        limit = self._limit() if self._skip("LIMIT") else None
        self._skip(";")
        if self._next.kind != "end":
            clauses = ["WHERE" if where is None else "AND, OR", "ORDER BY", "LIMIT"]
            left = clauses[3:] if limit is not None else clauses[2:] if order else clauses
            raise self._unexpected(f"{', '.join(left)} or the end" if left else "the end")
        if counting and (distinct or order):
            raise refusal(order_column if order else 1, "COUNT(*) goes with neither DISTINCT nor ORDER BY")
        query = Query(region, self._over, columns, counting, distinct, where, order, limit)
        if distinct and not all(_selected(each.path, query) for each in order):
            raise refusal(order_column, "with DISTINCT, rows can be ordered by what is selected only")
        return query

    def _pass_columns(self) -> None:
        """Go to FROM: what the columns mean depends on what stands there."""
        while self._next.kind != "end" and not self._is("FROM"):
            self._at += 1
            if self._skip("."):
                self._take()  # the name of a field, which may be any word

    def _source(self) -> str:
        if self._next.kind != "region":
            raise self._unexpected("a region like /customer")
        token = self._take()
        region = check_region_name(token.text)
        if self._next.kind == "region":
            raise refusal(self._next.column, "regions have no sub-regions: expected one name, like /customer")
        if self._skip("."):
            word = self._next
            over = _OVER.get(word.text.lower()) if word.kind == "word" else None
            if over is None:
                raise self._unexpected("keys, values or entries")
            self._over = over
            self._at += 1
            if self._skip("("):
                self._need(")")
        if self._skip("AS") or (self._next.kind == "word" and self._next.text.upper() not in _NO_ALIAS):
            if self._next.kind != "word" or self._next.text.upper() in _RESERVED:
                raise self._unexpected("an alias")
            self._alias = self._take().text
        if self._is(","):
            raise refusal(self._next.column, "a query is over one region: joins are not offered")
        return region

    def _columns(self) -> tuple[bool, tuple[Column, ...]]:
        if self._skip("*"):
            return self._ended(False, ())
        if self._is("COUNT") and self._tokens[self._at + 1].text == "(":
            self._at += 1
            self._need("(", "*", ")")
            return self._ended(True, ())
        columns: list[Column] = []
        while not columns or self._skip(","):
            start = self._next
            path = self._path("*, COUNT(*) or a path")
            name = self._name() if self._skip("AS") else ""
            if not name and (columns or self._is(",")):
                name = path.fields[-1] if path.fields else start.text
            if name in {column.name for column in columns}:
                raise refusal(start.column, f"two columns would be called {name}: name one of them, with AS")
            columns.append(Column(path, name))
        return self._ended(False, tuple(columns))

    def _ended(self, counting: bool, columns: tuple[Column, ...]) -> tuple[bool, tuple[Column, ...]]:
        if not self._is("FROM"):
            raise self._unexpected("',', AS or FROM" if columns else "FROM")
        return counting, columns

    def _order(self) -> tuple[Order, ...]:
        self._need("BY")
        orders: list[Order] = []
        while not orders or self._skip(","):
            path = self._path("a path")
            orders.append(Order(path, self._skip("DESC")))
            if not orders[-1].descending:
                self._skip("ASC")
        return tuple(orders)

    def _limit(self) -> int:
        if self._next.kind != "number" or not self._next.text.isdecimal():
            raise self._unexpected("a number, 0 or more")
        return int(self._take().text)

    # --- conditions

    def _condition(self) -> Condition:
        alternatives = [self._alternative()]
        while self._skip("OR"):
            alternatives.append(self._alternative())
        return alternatives[0] if len(alternatives) == 1 else AnyOf(tuple(alternatives))

    def _alternative(self) -> Condition:
        terms = [self._term()]
        while self._skip("AND"):
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else AllOf(tuple(terms))

    def _term(self) -> Condition:
        column = self._next.column
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise refusal(column, f"conditions are nested too deeply: {DEPTH_MAX} levels are allowed")
        term = self._nested()
        self._depth -= 1
        return term

    def _nested(self) -> Condition:
        if self._skip("NOT"):
            return Not(self._term())
        if self._skip("("):
            if self._is("SELECT"):
                raise self._unexpected(_CONDITION)
            condition = self._condition()
            if not self._skip(")"):
                raise self._unexpected("AND, OR or ')'")
            return condition
        if self._is("IS_DEFINED", "IS_UNDEFINED"):
            undefined = self._take().text.upper() == "IS_UNDEFINED"
            self._need("(")
            defined = Defined(self._path("a path"))
            self._need(")")
            return Not(defined) if undefined else defined
        return self._predicate()

    def _predicate(self) -> Condition:
        left = self._operand(_CONDITION)
        symbol = self._next
        if symbol.kind == "symbol" and symbol.text in _OPERATORS:
            self._at += 1
            return Comparison(_OPERATORS[symbol.text], left, self._operand("a path or a constant"))
        if isinstance(left, Path):
            if self._skip("LIKE"):
                return Like(left, self._pattern())
            if self._skip("IN"):
                return In(left, self._set())
            if self._is("NOT"):
                raise refusal(symbol.column, "expected a comparison: write NOT before the whole of it")
        elif not isinstance(left.value, bool):
            raise self._unexpected("a comparison")
        return Holds(left)

    def _pattern(self) -> str:
        if self._next.kind != "text":
            raise self._unexpected("a pattern in single quotes")
        token = self._take()
        if len(token.text) > PATTERN_CHARS_MAX:
            raise refusal(token.column, f"a pattern may have {PATTERN_CHARS_MAX} characters")
        if "_" in token.text and "%" in token.text:
            self._wild += len(token.text)
            if self._wild > WILD_CHARS_MAX:
                raise refusal(token.column, f"patterns with _ and % may have {WILD_CHARS_MAX} characters in all")
        return token.text

    def _set(self) -> tuple[Scalar, ...]:
        if not self._is("SET"):
            raise self._unexpected("SET(constant, …)")
        self._need("SET", "(")
        among: list[Scalar] = []
        while not among or self._skip(","):
            operand = self._operand("a constant")
            if isinstance(operand, Path):
                raise refusal(self._tokens[self._at - 1].column, "expected a constant, not a path")
            among.append(operand.value)
        if not self._skip(")"):
            raise self._unexpected("',' or ')'")
        return tuple(among)

    # --- paths and constants

    def _operand(self, expected: str) -> Operand:
        token = self._next
        if token.kind == "text":
            return Constant(self._take().text)
        if token.kind == "number" or token.text == "-":
            return Constant(self._number())
        if token.kind == "word" and token.text.upper() in _CONSTANTS:
            return Constant(_CONSTANTS[self._take().text.upper()])
        return self._path(expected)

    def _number(self) -> int | float:
        sign = -1 if self._skip("-") else 1
        if self._next.kind != "number":
            raise self._unexpected("a number")
        token = self._take()
        if token.text.isdecimal():
            return sign * int(token.text)
        number = sign * float(token.text)
        if not math.isfinite(number):
            raise refusal(token.column, f"the number {token} is too large")
        return number

    def _path(self, expected: str) -> Path:
        first = self._next
        if first.kind == "quoted":
            raise refusal(
                first.column, "expected a name or a text; a text is in single quotes, and a field is quoted after a dot"
            )
        if first.kind != "word" or first.text.upper() in _RESERVED:
            raise self._unexpected(expected)
        fields = [self._take().text]
        while self._skip("."):
            if self._next.kind not in ("word", "quoted"):
                raise self._unexpected("the name of a field")
            fields.append(self._take().text)
        if self._is("("):
            raise refusal(self._next.column, _FUNCTIONS)
        if fields[0] in (self._alias, "this"):
            fields = fields[1:]
        self._check_fields(fields, first)
        return Path(tuple(fields))

    def _check_fields(self, fields: list[str], first: Token) -> None:
        if not fields or self._over == "values":
            return
        if self._over == "keys":
            raise refusal(first.column, f"a key has no fields: name the key itself by {self._alias or 'this'}")
        if fields[0] not in (KEY, VALUE):
            raise refusal(first.column, f"an entry has the fields {KEY} and {VALUE}, but no {fields[0]}")
        if fields[0] == KEY and len(fields) > 1:
            raise refusal(first.column, "a key has no fields")

    def _name(self) -> str:
        token = self._next
        if token.kind == "quoted" or (token.kind == "word" and token.text.upper() not in _RESERVED):
            return self._take().text
        raise self._unexpected('a name, or "a name"')


def _selected(path: Path, query: Query) -> bool:
    """Say whether a query selects what is at a path."""
    paths = [column.path for column in query.columns] or [Path()]
    return any(path.fields[: len(each.fields)] == each.fields for each in paths)
