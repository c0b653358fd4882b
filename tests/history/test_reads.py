"""What reads promise, on histories small enough to see what is wrong with them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.history.operations import Operation
from tests.history.reads import check


def put(began: float, ended: float, value: bytes, **more: Any) -> Operation:
    fields = {"outcome": "ok", "done": True, "site": 1, **more}
    kind = "put" if value else "remove"
    return Operation("c", kind=kind, key="k", value=value, began_s=began, ended_s=ended, **fields)  # type: ignore[arg-type]


def get(began: float, ended: float, old: bytes, member: str = "a#1") -> Operation:
    return Operation("c", 1, "get", "k", old=old, began_s=began, ended_s=ended, outcome="ok", done=True, member=member)


A, B, GONE = put(0, 1, b"a"), put(2, 3, b"b"), put(4, 5, b"")


@pytest.mark.parametrize(
    "history",
    [
        [A, B, get(4, 5, b"a")],  # a copy may be behind
        [A, B, get(4, 5, b"")],
        [A, B, get(4, 5, b"a"), get(6, 7, b"b"), get(8, 9, b"b")],
        [A, B, get(4, 5, b"b", "a#1"), get(6, 7, b"a", "b#1")],  # another member's
        [A, B, get(4, 5, b"b", "a#1"), get(6, 7, b"a", "a#2")],  # started again
        [A, B, get(4, 5, b"b", ""), get(6, 7, b"a", "")],  # who knows whose
        [A, B, GONE, get(6, 7, b"b"), get(8, 9, b"")],
        [A, put(0, 3, b"b"), get(4, 5, b"b"), get(6, 7, b"a")],  # either order
        [A, put(2, math.inf, b"b", outcome="info"), get(4, 5, b"b"), get(6, 7, b"b")],
        [A, put(2, math.inf, b"", outcome="info"), get(4, 5, b"a"), get(6, 7, b"")],
        [A, put(2, 3, b"b", site=2), get(4, 5, b"b"), get(6, 7, b"a")],  # sites order their writes by other clocks
        [put(2, 3, b"b", member="a#1"), get(4, 5, b"b")],
        [get(0, 1, b""), get(2, 3, b"")],
    ],
)
def test_what_copies_may_show(history: list[Operation]) -> None:
    assert check(history) == []


@pytest.mark.parametrize(
    ("history", "wrong"),
    [
        ([get(0, 1, b"x")], "invented"),
        ([put(2, 3, b"a"), get(0, 1, b"a")], "invented"),
        ([put(0, 1, b"a", outcome="fail"), get(2, 3, b"a")], "invented"),
        ([put(0, 1, b"a", done=False), get(2, 3, b"a")], "invented"),
        ([A, B, get(4, 5, b"b"), get(6, 7, b"a")], "gone back"),
        ([A, get(4, 5, b"a"), get(6, 7, b"")], "gone back"),
        ([A, get(4, 5, b"a"), get(6, 7, b""), put(8, 9, b"")], "gone back"),
        ([A, B, GONE, put(6, 7, b"c"), get(8, 9, b"c"), get(10, 11, b"")], "gone back"),
        ([A, put(2, 3, b"b", member="a#1"), get(4, 5, b"a")], "gone back"),
        ([A, put(2, 3, b"", member="a#1"), get(4, 5, b"a")], "gone back"),
        ([put(2, 3, b"b", member="a#1"), get(4, 5, b"")], "gone back"),
    ],
)
def test_what_no_copy_may_show(history: list[Operation], wrong: str) -> None:
    (found,) = check(history)
    assert found.startswith(wrong)
