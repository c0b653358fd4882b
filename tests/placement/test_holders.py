"""Regions that only the servers of some groups hold."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import UsageError
from heliograph.model.attributes import RegionAttributes
from heliograph.model.ids import Address
from heliograph.model.members import MemberInfo, RegionPlacement
from heliograph.placement.buckets import Seen, follow_up, staying
from heliograph.placement.holders import check_region_servers, holders_of, unheld
from heliograph.placement.rebalance import moves, rebalance

GROUPS = ("east", "west")
BUCKETS = 6


def server(name: str, groups: Sequence[str] = (), zone: str = "", kind: str = "server") -> MemberInfo:
    return MemberInfo(
        name=name,
        kind="locator" if kind == "locator" else "server",
        incarnation="",
        joined_ms=0,
        address=Address("h", 1),
        pid=1,
        groups=tuple(groups),
        redundancy_zone=zone,
    )


servers = st.lists(
    st.builds(
        server,
        st.sampled_from("abcdef"),
        st.lists(st.sampled_from((*GROUPS, "East", "north")), max_size=2),
        st.sampled_from(("", "z1", "z2")),
    ),
    min_size=1,
    unique_by=lambda each: each.name,
)
regions = st.builds(
    lambda kind, groups: RegionAttributes(name="r", type=kind, groups=groups, total_num_buckets=BUCKETS),
    st.sampled_from(("REPLICATE", "PARTITION", "PARTITION_REDUNDANT")),
    st.sampled_from(((), ("east",), ("WEST", "east"))),
)


def settled(region: RegionAttributes, live: Sequence[MemberInfo], placement: RegionPlacement | None) -> RegionPlacement:
    """Return where buckets end up at these servers, which load and take writes at once."""
    holders = holders_of(region, live)
    every = frozenset(range(BUCKETS))
    seen = {each.name: Seen(every, every) for each in holders}
    while True:
        after = follow_up(region, staying(holders), {each.name for each in holders}, placement, seen)
        if after == placement:
            return after
        placement = after


@given(regions, st.lists(servers, min_size=1, max_size=5))
def test_whoever_comes_and_goes_exactly_servers_of_the_groups_hold_the_region(
    region: RegionAttributes, history: list[list[MemberInfo]]
) -> None:
    """A server may also come back under its name in other groups."""
    placement: RegionPlacement | None = None
    for live in history:
        placement = settled(region, live, placement)
        wanted = {group.lower() for group in region.groups}
        meant = {each.name for each in live if not wanted or wanted & {group.lower() for group in each.groups}}
        zone_of = {each.name: each.redundancy_zone for each in live}
        assert not placement.goal
        for bucket in placement.buckets:
            assert bool(bucket.primary) == bool(meant)
            assert set(bucket.holders) <= meant
            assert not bucket.loading
            if region.replicated:
                assert set(bucket.holders) == meant
            elif meant:
                apart = len({zone_of[name] or name for name in meant})
                assert len(bucket.holders) == 1 + min(region.copies, apart - 1)


@given(regions, servers, servers)
def test_a_rebalance_moves_nothing_out_of_the_groups_and_spreads_within_them(
    region: RegionAttributes, before: list[MemberInfo], live: list[MemberInfo]
) -> None:
    region = RegionAttributes(name="r", groups=region.groups, total_num_buckets=BUCKETS)
    placed = settled(region, live, settled(region, before, None))
    holders = holders_of(region, live)
    goal = rebalance(region, staying(holders), placed.buckets, [1] * BUCKETS)
    primaries = [bucket.primary for bucket in goal]
    counts = [primaries.count(each.name) for each in holders]
    assert sum(counts) == (BUCKETS if holders else 0)
    assert not counts or max(counts) - min(counts) <= 1
    assert moves("r", placed.buckets, goal, [1] * BUCKETS).created == 0


def test_a_new_region_of_groups_needs_a_server_of_one_of_them() -> None:
    members = [server("l", ("west",), kind="locator"), server("a", ("East",)), server("b")]
    check_region_servers(RegionAttributes(name="r", groups=("east", "west")), members)
    check_region_servers(RegionAttributes(name="r"), [])
    region = RegionAttributes(name="r", groups=("west", "north"))
    with pytest.raises(UsageError, match="no members found: no server of this site is in west, north"):
        check_region_servers(region, members)
    assert unheld(region, members) == "region r is held by servers of west, north only, and none of these runs"
    assert unheld(RegionAttributes(name="r", groups=("EAST",)), members) == ""
    assert unheld(RegionAttributes(name="r"), []) == ""
