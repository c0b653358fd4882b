"""The comparison must catch a planted difference of any kind."""

from __future__ import annotations

from typing import Any

from heliograph.gfsh.comparison import compare
from heliograph.model.keys import Key

ENTRIES: dict[Key, Any] = {f"k{i}": {"value": i} for i in range(100)}


def test_equal_entries_do_not_differ_whatever_their_order() -> None:
    assert not compare(ENTRIES, dict(reversed(ENTRIES.items())))


def test_a_missing_an_extra_and_an_unequal_entry_are_named() -> None:
    planted: dict[Key, Any] = {**ENTRIES, "k7": {"value": 8}, "more": 1}
    del planted["k3"]
    difference = compare(ENTRIES, planted)
    assert (difference.missing, difference.extra, difference.unequal) == (
        frozenset({"k3"}),
        frozenset({"more"}),
        frozenset({"k7"}),
    )
    assert len(difference) == 3


def test_keys_of_different_types_are_different_keys() -> None:
    assert len(compare({"1": "x"}, {1: "x"})) == 2
    assert len(compare({"1": "x"}, {b"1": "x"})) == 2
