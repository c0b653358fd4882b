"""Lanes over receivers: even for each sender, even for all senders together, also when all see the same old numbers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.gateway.balance import PASSED_OVER_S, Balance
from heliograph.model.ids import Address
from heliograph.model.members import ReceiverInfo

LINKS = st.lists(st.integers(0, 30), min_size=1, max_size=4)


def place(number: int) -> Address:
    return Address(f"r{number}", 1)


def receiver(number: int, links: int = 0, at: int | None = None) -> ReceiverInfo:
    return ReceiverInfo(member=f"m{number}", address=place(number if at is None else at), port=1, links=links)


def receivers(links: Iterable[int]) -> list[ReceiverInfo]:
    return [receiver(number, each) for number, each in enumerate(links)]


class Member:
    """A member's lanes of one sender, and where they are."""

    def __init__(self, lanes: int, *, together: bool = False, seed: int = 1) -> None:
        self.balance = Balance(together=together, draw=random.Random(seed).random)
        self.lanes = lanes
        self.at: dict[int, Address] = {}

    def link(self, known: list[ReceiverInfo], now_s: float = 0.0) -> None:
        """Link what is not linked."""
        for lane in range(self.lanes):
            if lane not in self.at:
                self.at[lane] = self.balance.choose(lane, known, now_s)

    def lose(self, address: Address) -> None:
        for lane in [lane for lane, at in self.at.items() if at == address]:
            self.balance.left(lane)
            del self.at[lane]

    def rebalance(self, known: list[ReceiverInfo]) -> int:
        moving = self.balance.moves(known)
        for lane in moving:
            self.balance.left(lane)
            del self.at[lane]
        self.link(known)
        return len(moving)

    def counts(self, known: Iterable[ReceiverInfo]) -> list[int]:
        count = Counter(self.at.values())
        return [count[each.address] for each in known]


def loads(members: Iterable[Member], known: list[ReceiverInfo]) -> list[int]:
    return [sum(each) for each in zip(*(member.counts(known) for member in members), strict=True)]


@given(st.integers(1, 21), LINKS, st.integers(0, 99))
def test_a_parallel_sender_s_lanes_are_even(lanes: int, links: list[int], seed: int) -> None:
    member, known = Member(lanes, seed=seed), receivers(links)
    member.link(known)
    counts = member.counts(known)
    assert sum(counts) == lanes
    assert max(counts) - min(counts) <= 1


@given(st.integers(1, 21), st.lists(st.sets(st.integers(0, 3), min_size=1), min_size=1, max_size=6), st.integers(0, 99))
def test_lanes_are_even_again_after_receivers_came_and_went(lanes: int, there: list[set[int]], seed: int) -> None:
    member = Member(lanes, seed=seed)
    for numbers in there:
        known = [receiver(number) for number in sorted(numbers)]
        for address in {*member.at.values()} - {each.address for each in known}:
            member.lose(address)
        member.link(known)
        assert sum(member.counts(known)) == lanes
        before = member.counts(known)
        moved = member.rebalance(known)
        after = member.counts(known)
        assert max(after) - min(after) <= 1
        assert moved == sum(max(0, old - new) for old, new in zip(before, after, strict=True)), "no more than needed"
        assert member.rebalance(known) == 0


@given(st.integers(1, 21), LINKS, st.integers(0, 99))
def test_a_serial_sender_is_at_one_receiver_as_a_whole(lanes: int, links: list[int], seed: int) -> None:
    member, known = Member(lanes, together=True, seed=seed), receivers(links)
    member.link(known)
    assert max(member.counts(known)) == lanes
    first = member.at[0]
    member.balance.left(0)
    del member.at[0]
    member.link(known)
    assert member.at[0] == first
    member.rebalance(known)
    assert max(member.counts(known)) == lanes


def test_a_lane_goes_where_fewer_links_are() -> None:
    for seed in range(20):
        member, known = Member(1, seed=seed), receivers([5, 2])
        member.link(known)
        assert member.counts(known) == [0, 1]


@pytest.mark.parametrize("together", [False, True])
def test_what_could_not_be_linked_is_passed_over_for_a_while(together: bool) -> None:
    member, known = Member(1, together=together), receivers([0, 9])
    member.link(known)
    member.balance.failed(0, 0.0)
    for now_s in (0.1, PASSED_OVER_S - 0.1):
        assert member.balance.choose(0, known, now_s) == place(1)
    member.balance.failed(0, 5.0)
    assert member.balance.choose(0, known, 6.0) in (place(0), place(1)), "there is nothing else"
    member.balance.left(0)
    if not together:
        assert member.balance.choose(0, known, PASSED_OVER_S + 10) == place(0)


def test_receivers_behind_one_address_have_their_share_together() -> None:
    known = [receiver(1, at=9), receiver(2, at=9), receiver(3, at=9), receiver(4)]
    member = Member(8)
    member.link(known)
    count = Counter(member.at.values())
    assert count == {place(9): 6, place(4): 2}
    assert member.rebalance(known) == 0


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("senders", "lanes"), [(1, 5), (4, 5), (4, 1), (12, 1), (9, 2), (30, 3)])
def test_many_senders_that_see_the_same_old_numbers_are_even_soon(senders: int, lanes: int, seed: int) -> None:
    """One receiver is there at first, three come; then everyone is told to rebalance at the same time."""
    members = [Member(lanes, seed=seed * 1_000 + number) for number in range(senders)]
    for member in members:
        member.link(receivers([0]))
    known = receivers([0, 0, 0, 0])
    for _ in range(4):
        known = receivers(loads(members, known))
        for member in members:
            member.rebalance(known)
    total, worst = senders * lanes, max(loads(members, known))
    assert worst <= total / 4 + max(1, 0.2 * total, senders**0.5)


@pytest.mark.parametrize("seed", range(10))
def test_many_serial_senders_are_spread_and_do_not_all_run_after_the_emptiest(seed: int) -> None:
    members = [Member(5, together=True, seed=seed * 1_000 + number) for number in range(16)]
    for member in members:
        member.link(receivers([0]))
    known = receivers([0, 0])
    for _ in range(5):
        known = receivers(loads(members, known))
        for member in members:
            member.rebalance(known)
    assert max(loads(members, known)) <= 60, loads(members, known)  # 40 would be even


def test_without_receivers_nothing_moves() -> None:
    assert Member(3).balance.moves([]) == []
