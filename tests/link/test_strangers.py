from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import InvariantViolation
from heliograph.link.strangers import (
    REFUSALS_INTERVAL_MS,
    REFUSALS_LOGGED,
    REFUSALS_LOGGED_OF_ADDRESS,
    RefusalLog,
    Strangers,
)


def test_the_longest_silent_one_of_the_same_address_goes() -> None:
    strangers = Strangers[int](10, 2)
    assert [strangers.add(number, "a") for number in range(4)] == [None, None, 0, 1]
    assert strangers.add(9, "b") is None
    assert len(strangers) == 3


def test_the_address_with_the_most_makes_room_for_others() -> None:
    strangers = Strangers[int](4, 3)
    assert [strangers.add(number, address) for number, address in enumerate("abbbc")] == [None, None, None, None, 1]
    assert strangers.add(5, "a") == 2
    assert strangers.add(6, "b") == 0  # no address holds more than that one


def test_counting_out_twice_does_nothing() -> None:
    strangers = Strangers[int]()
    strangers.add(1, "a")
    assert strangers.remove(1, "a")
    assert not strangers.remove(1, "a")
    assert not strangers.remove(2, "a")
    assert len(strangers) == 0


def test_bounds_that_contradict_each_other() -> None:
    with pytest.raises(InvariantViolation):
        Strangers[int](2, 3)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcd"), st.integers(0, 30)), max_size=200))
def test_never_more_than_the_bounds_and_nobody_forgotten(steps: list[tuple[bool, str, int]]) -> None:
    strangers = Strangers[tuple[str, int]](6, 3)
    naive: list[tuple[str, int]] = []  # in the order in which they came
    for comes, address, number in steps:
        who = (address, number)
        if comes and who not in naive:
            leaving = strangers.add(who, address)
            if leaving is not None:
                counts = {each: sum(1 for some, _ in naive if some == each) for each, _ in naive}
                crowd = address if counts.get(address, 0) == 3 else leaving[0]
                assert counts[crowd] == max(counts.values()) or crowd == address
                assert leaving == next(each for each in naive if each[0] == crowd)
                naive.remove(leaving)
            naive.append(who)
        elif not comes:
            assert strangers.remove(who, address) == (who in naive)
            naive = [each for each in naive if each != who]
        assert len(strangers) == len(naive) <= 6
        assert all(sum(1 for some, _ in naive if some == each) <= 3 for each in "abcd")


def test_the_first_refusals_of_an_interval_are_logged_and_the_others_counted() -> None:
    log = RefusalLog()
    noted = [log.note("a", 0) for _ in range(10)]
    assert noted == [0] * REFUSALS_LOGGED_OF_ADDRESS + [None] * (10 - REFUSALS_LOGGED_OF_ADDRESS)
    assert log.note("b", 0) == 10 - REFUSALS_LOGGED_OF_ADDRESS
    assert log.note("a", REFUSALS_INTERVAL_MS - 1) is None
    assert log.note("a", REFUSALS_INTERVAL_MS) == 1


def test_a_scan_from_many_addresses_is_bounded_too() -> None:
    log = RefusalLog()
    noted = [log.note(f"10.0.{each // 250}.{each % 250}", 0) for each in range(10_000)]
    assert sum(line is not None for line in noted) == REFUSALS_LOGGED
    assert log.note("z", REFUSALS_INTERVAL_MS) == 10_000 - REFUSALS_LOGGED
