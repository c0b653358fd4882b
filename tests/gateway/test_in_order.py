from __future__ import annotations

import pytest

from heliograph.errors import InvariantViolation
from heliograph.gateway.in_order import InOrder


def test_one_run_at_a_time_in_the_order_of_the_batches() -> None:
    order: InOrder[str] = InOrder()
    assert order.next() is None
    assert order.take("ab", anew=True)
    assert order.next() == "a"
    assert order.take("c", anew=False)
    assert order.next() is None, "a is under way"
    for run in "bc":
        assert order.on_ended(failed=False) == []
        assert order.next() == run
    assert order.on_ended(failed=False) == []
    assert order.next() is None


def test_after_a_failure_nothing_overtakes_until_a_batch_begins_anew() -> None:
    order: InOrder[str] = InOrder()
    order.take("ab", anew=True)
    order.take("c", anew=False)
    order.next()
    assert order.on_ended(failed=True) == ["b", "c"]
    assert not order.take("d", anew=False)
    assert order.next() is None
    assert order.take("ab", anew=True)
    assert order.take("c", anew=False)
    assert order.next() == "a"


def test_a_batch_that_begins_anew_waits_for_what_is_under_way_and_falls_with_it() -> None:
    order: InOrder[str] = InOrder()
    order.take("a", anew=True)
    order.next()
    assert order.take("ab", anew=True)
    assert order.next() is None
    assert order.on_ended(failed=True) == ["a", "b"]
    assert not order.take("c", anew=False)


def test_closed_it_lets_go_of_what_waits() -> None:
    order: InOrder[str] = InOrder()
    order.take("abc", anew=True)
    order.next()
    assert order.close() == ["b", "c"]
    assert order.on_ended(failed=False) == []
    assert order.next() is None


def test_only_a_run_that_is_under_way_can_end() -> None:
    with pytest.raises(InvariantViolation):
        InOrder[str]().on_ended(failed=False)
