"""The checker itself, on histories written by hand."""

from __future__ import annotations

import pytest

from heliograph.model.keys import Key
from tests.system.ledger import Ledger, assert_right, problems


def history(acknowledged, unknown=()) -> Ledger:
    ledger = Ledger()
    for changes in acknowledged:
        ledger.acknowledge(changes)
    for changes in unknown:
        ledger.lose_sight(changes)
    return ledger


def test_what_was_acknowledged_last_is_right() -> None:
    ledger = history([{"a": 1, "b": 1}, {"a": 2}, {"b": None}])
    assert problems([ledger], {"a": 2}) == []
    assert ledger.count == 3


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({}, "lost: 'a' holds None and not 2"),
        ({"a": 1}, "lost: 'a' holds 1 and not 2"),
        ({"a": 2, "b": 1}, "resurrected: 'b' holds 1"),
        ({"a": 2, "c": 1}, "phantom: 'c'"),
    ],
)
def test_every_anomaly_is_seen(entries, problem) -> None:
    ledger = history([{"a": 1, "b": 1}, {"a": 2}, {"b": None}])
    assert problems([ledger], entries) == [problem]
    with pytest.raises(AssertionError, match="entries at site 2: "):
        assert_right([ledger], entries, "site 2")


def test_what_is_unknown_may_have_happened_or_not() -> None:
    ledger = history([{"a": 1}], unknown=[{"a": None}, {"b": 2}])
    assert not ledger.usable("a")
    possible: list[dict[Key, int]] = [{}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}]
    for entries in possible:
        assert problems([ledger], entries) == []
    assert problems([ledger], {"a": 9}) == ["lost: 'a' holds 9 and not 1"]
    assert problems([ledger], {"b": 9}) == ["resurrected: 'b' holds 9"]


def test_a_key_of_another_writer_is_no_phantom() -> None:
    assert problems([history([{"a": 1}]), history([{"b": 2}])], {"a": 1, "b": 2}) == []
