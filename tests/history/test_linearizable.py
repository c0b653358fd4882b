"""The checker on histories small enough to see what is wrong with them, and against a search that tries every order."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.history.linearizable import TooManyStatesError, check, check_key
from tests.history.operations import Operation

KEY = "k"
WRITES = ("put", "put_if_absent", "replace", "replace_if", "remove", "remove_if")


def op(kind: Any, began: float, ended: float, value: bytes = b"", **answer: Any) -> Operation:
    """An operation that was answered and done, unless more is said."""
    fields = {"outcome": "ok", "done": True, "quiet": kind == "get", **answer}
    return Operation("c", 1, kind, KEY, value, began_s=began, ended_s=ended, **fields)


def put(began: float, ended: float, value: bytes, **answer: Any) -> Operation:
    return op("put", began, ended, value, **answer)


def get(began: float, ended: float, old: bytes) -> Operation:
    return op("get", began, ended, old=old)


def unknown(kind: Any, began: float, value: bytes = b"", **more: Any) -> Operation:
    return op(kind, began, math.inf, value, outcome="info", **more)


# --- handwritten


@pytest.mark.parametrize(
    "history",
    [
        [],
        [put(0, 1, b"a"), get(2, 3, b"a")],
        [get(0, 1, b""), put(2, 3, b"a")],
        # together: either order
        [put(0, 3, b"a"), put(1, 2, b"b"), get(4, 5, b"a")],
        [put(0, 3, b"a"), put(1, 2, b"b"), get(4, 5, b"b")],
        [put(0, 3, b"a"), get(1, 2, b"a"), get(4, 5, b"a")],
        [put(0, 3, b"a"), get(1, 2, b""), get(4, 5, b"a")],
        # a chain of conditional operations, each told what the one before it left
        [
            op("put_if_absent", 0, 1, b"a"),
            op("put_if_absent", 2, 3, b"b", done=False, old=b"a"),
            op("replace", 4, 5, b"c", old=b"a"),
            op("replace_if", 6, 7, b"d", expected=b"a", done=False, old=b"c"),
            op("replace_if", 8, 9, b"e", expected=b"c", old=b"c"),
            op("remove_if", 10, 11, expected=b"c", done=False, old=b"e"),
            op("remove", 12, 13, old=b"e"),
            op("remove", 14, 15, done=False),
            op("replace", 16, 17, b"f", done=False),
        ],
        # of unknown outcome: at once, much later, or never
        [unknown("put", 0, b"a"), get(1, 2, b"a")],
        [unknown("put", 0, b"a"), put(1, 2, b"b"), get(3, 4, b"b"), get(5, 6, b"a")],
        [unknown("put", 0, b"a"), get(1, 2, b""), get(3, 4, b"")],
        [put(0, 1, b"a"), unknown("remove", 2), get(3, 4, b""), put(5, 6, b"b"), get(7, 8, b"b")],
        [unknown("put", 0, b"a"), unknown("replace", 0, b"b"), get(1, 2, b""), get(3, 4, b"b")],
        [put(0, 1, b"a", outcome="fail"), get(2, 3, b"")],
    ],
)
def test_what_an_order_explains_is_right(history: list[Operation]) -> None:
    assert check(history) == []


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([put(0, 1, b"a"), get(2, 3, b"")], id="lost write"),
        pytest.param([put(0, 1, b"a"), put(2, 3, b"b"), get(4, 5, b"a")], id="lost update"),
        pytest.param([put(0, 1, b"a"), op("remove", 2, 3, old=b"a"), get(4, 5, b"a")], id="resurrected"),
        pytest.param([get(0, 1, b"a"), put(2, 3, b"a")], id="before it was written"),
        pytest.param([get(0, 1, b"x")], id="invented"),
        pytest.param([put(0, 1, b"a", outcome="fail"), get(2, 3, b"a")], id="denied write"),
        pytest.param(
            [op("put_if_absent", 0, 1, b"a"), op("put_if_absent", 0, 1, b"b")], id="two puts into the same absence"
        ),
        pytest.param(
            [
                put(0, 1, b"a"),
                op("replace_if", 2, 5, b"b", expected=b"a", old=b"a"),
                op("replace_if", 3, 4, b"c", expected=b"a", old=b"a"),
            ],
            id="split decision",
        ),
        pytest.param([put(0, 1, b"a"), op("replace", 2, 3, b"b", done=False)], id="turned down by what was no more"),
        pytest.param([op("replace_if", 0, 1, b"b", expected=b"a", old=b"")], id="contradicts itself"),
        pytest.param(
            [unknown("put", 0, b"a"), get(1, 2, b"a"), put(3, 4, b"b"), get(5, 6, b"a")], id="one write done twice"
        ),
        pytest.param([put(0, 1, b"a"), unknown("remove", 4), get(2, 3, b"")], id="removed before it was asked for"),
        pytest.param(
            [put(0, 9, b"a"), get(1, 2, b"a"), get(3, 4, b"")], id="what was seen is gone, though still under way"
        ),
    ],
)
def test_what_no_order_explains_is_found(history: list[Operation]) -> None:
    (found,) = check(history)
    assert "no order explains" in found


def test_reads_that_are_not_quiet_claim_nothing() -> None:
    read = get(2, 3, b"")
    read.quiet = False
    assert check([put(0, 1, b"a"), read]) == []


def test_keys_are_checked_each_by_itself() -> None:
    other = get(2, 3, b"")
    other.key = "l"
    assert check([put(0, 1, b"a"), other, get(2, 3, b"a")]) == []


def test_too_much_at_a_time_is_no_verdict() -> None:
    together = [put(0, 100, b"%d" % number) for number in range(12)]
    with pytest.raises(TooManyStatesError):
        check([*together, get(200, 201, b"")], steps_max=1000)


def test_many_of_unknown_outcome_cost_little() -> None:
    history = []
    for number in range(300):
        value = b"%d" % number
        history += [unknown("put", number, b"u" + value), unknown("remove", number), put(number, number + 0.5, value)]
        history += [op("replace", number + 0.6, number + 0.7, b"r" + value, old=b"u" + value if number % 3 else value)]
    assert check(history) == []


# --- against a true register


@st.composite
def true_histories(draw: st.DrawFn) -> list[Operation]:
    """What clients can see of a register on which operations take effect one after another."""
    state = b""
    history = []
    for number in range(draw(st.integers(1, 25))):
        operation = _drawn(draw, number)
        slack = st.floats(0, 4)
        operation.began_s = number - draw(slack)
        outcome = draw(st.sampled_from(("ok", "ok", "ok", "done, unknown", "not done, unknown", "fail")))
        if outcome in ("ok", "done, unknown"):
            operation.old, done = state, _holds(operation, state)
            state = operation.value if done and operation.is_write else state
            operation.done = done and operation.is_write
        operation.outcome = "info" if "unknown" in outcome else outcome  # type: ignore[assignment]
        operation.ended_s = math.inf if operation.outcome == "info" else number + draw(slack)
        history.append(operation)
    return history


@given(true_histories())
def test_what_a_true_register_shows_is_right(history: list[Operation]) -> None:
    assert check(history) == []


@given(true_histories(), st.data())
def test_a_lost_write_is_found(history: list[Operation], data: st.DataObject) -> None:
    """The last of the acknowledged puts after which nothing else began is not there at the end."""
    end = max(operation.began_s for operation in history) + 10
    history = [each for each in history if each.outcome != "info"]
    before = data.draw(st.sampled_from([b"", *(each.value for each in history if each.value)]))
    assert check([*history, put(end, end + 1, b"last"), get(end + 2, end + 3, before)])


# --- against a search that tries every order


@st.composite
def any_histories(draw: st.DrawFn) -> list[Operation]:
    """Few operations with answers that may or may not fit."""
    history = []
    for number in range(draw(st.integers(1, 6))):
        operation = _drawn(draw, number)
        operation.began_s = float(draw(st.integers(0, 8)))
        operation.outcome = draw(st.sampled_from(("ok", "ok", "ok", "info", "fail")))
        if operation.outcome == "ok":
            operation.done = operation.kind == "put" or (operation.is_write and draw(st.booleans()))
            operation.old = draw(_values(6))
        operation.ended_s = (
            math.inf if operation.outcome == "info" else operation.began_s + float(draw(st.integers(0, 5)))
        )
        history.append(operation)
    return history


@settings(max_examples=600)
@given(any_histories())
def test_the_search_finds_an_order_exactly_when_there_is_one(history: list[Operation]) -> None:
    assert (check_key(KEY, history) == "") == _some_order([each for each in history if each.outcome != "fail"], b"")


def _some_order(rest: list[Operation], state: bytes) -> bool:
    """Try everything that may take effect next."""
    if all(each.outcome == "info" for each in rest):
        return True
    first_end = min(each.ended_s for each in rest)
    for each in rest:
        if each.began_s > first_end:
            continue
        others = [other for other in rest if other is not each]
        if each.outcome == "info":
            after = each.value if each.is_write and _holds(each, state) else state
        elif each.kind == "put":
            after = each.value
        elif each.old != state or (each.is_write and _holds(each, state) != each.done):
            continue
        else:
            after = each.value if each.done else state
        if _some_order(others, after):
            return True
    return False


# --- drawing


def _values(count: int) -> st.SearchStrategy[bytes]:
    return st.sampled_from([b"", *(b"v%d" % number for number in range(count))])


def _drawn(draw: st.DrawFn, number: int) -> Operation:
    """An operation without an answer; the values that it expects are those of others."""
    kind = draw(st.sampled_from((*WRITES, "get")))
    value = b"v%d" % number if kind in ("put", "put_if_absent", "replace", "replace_if") else b""
    expected = draw(_values(6)) if kind in ("replace_if", "remove_if") else b""
    return Operation("c", 1, kind, KEY, value, expected, quiet=kind == "get")  # type: ignore[arg-type]


def _holds(operation: Operation, state: bytes) -> bool:
    """Say whether an operation is done on a state, as the product's documents have it."""
    if operation.kind == "put_if_absent":
        return not state
    if operation.kind in ("replace", "remove"):
        return bool(state)
    if operation.kind in ("replace_if", "remove_if"):
        return bool(state) and state == operation.expected
    return True
