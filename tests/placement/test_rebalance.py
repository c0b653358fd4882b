"""What a rebalance goes to."""

from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from heliograph.link.messages import Moves
from heliograph.model.attributes import RegionAttributes
from heliograph.model.members import BucketPlacement, RegionPlacement
from heliograph.placement.buckets import Server, place
from heliograph.placement.rebalance import WORTH_BYTES_MIN, moves, rebalance, remaining, worth_moving
from tests.placement.test_buckets import check_whole, names, regions, servers_of, zones

sizes_of_many = st.lists(st.integers(0, 1000 * WORTH_BYTES_MIN), min_size=20, max_size=20)
NO_ZONES = dict.fromkeys([f"s{i}" for i in range(6)], "")


def counts_of(servers, buckets):
    """Copies and primaries of every server."""
    held = Counter({server.name: 0 for server in servers})
    primaries = Counter(held)
    for bucket in buckets:
        held.update([bucket.primary, *bucket.secondaries])
        primaries[bucket.primary] += 1
    return held, primaries


def spread(counts):
    return max(counts.values()) - min(counts.values())


def bytes_of(servers, buckets, sizes):
    held = {server.name: 0 for server in servers}
    for bucket, size in zip(buckets, sizes, strict=True):
        for name in (bucket.primary, *bucket.secondaries):
            held[name] += size
    return held


@given(regions, names, names, sizes_of_many)
def test_without_zones_copies_and_primaries_are_even_after_a_rebalance(region, before, now, sizes):
    sizes = sizes[: region.total_num_buckets]
    servers = servers_of(now, NO_ZONES)
    old = place(region, servers_of(before, NO_ZONES), ())
    goal = rebalance(region, servers, old, sizes)
    check_whole(region, servers, goal)
    held, primaries = counts_of(servers, goal)
    assert spread(primaries) <= 1
    assert region.replicated or spread(held) <= 1
    assert rebalance(region, servers, old, sizes) == goal, "the same question gets another answer"
    again = moves("r", goal, rebalance(region, servers, goal, sizes), sizes)
    assert (again.created, again.moved, again.primaries) == (0, 0, 0), "what is balanced is moved"


@given(regions, zones, names, names, sizes_of_many)
@example(
    # An exchange of copies, to even out bytes, opens a way for one more copy.
    region=RegionAttributes(name="r", redundant_copies=1, total_num_buckets=18),
    zones={"s0": "", "s1": "z1", "s2": "", "s3": "", "s4": "z1", "s5": "z1"},
    before=["s0", "s1", "s2", "s3", "s4", "s5"],
    now=["s0", "s1", "s2", "s3", "s4", "s5"],
    sizes=[0] * 11 + [262145, 0, 0, 786432, 0, 0, 0, 0, 0],
)
def test_with_zones_nothing_is_worse_than_it_was_and_no_single_move_would_make_it_better(
    region, zones, before, now, sizes
):
    sizes = sizes[: region.total_num_buckets]
    servers = servers_of(now, zones)
    old = place(region, servers, place(region, servers_of(before, zones), ()))
    goal = rebalance(region, servers, old, sizes)
    check_whole(region, servers, goal)
    held, primaries = counts_of(servers, goal)
    if not region.replicated:
        assert spread(held) <= max(1, spread(counts_of(servers, old)[0]))
        for bucket in goal:
            holders = [bucket.primary, *bucket.secondaries]
            for one in holders:
                others = {zones[name] for name in holders if name != one and zones[name]}
                for other in now:
                    if other not in holders and zones[other] not in others:
                        assert held[one] - held[other] <= 1
    for bucket in goal:
        assert all(primaries[bucket.primary] - primaries[name] <= 1 for name in bucket.secondaries)


@given(st.integers(2, 5), st.integers(2, 20), st.integers(0, 2), sizes_of_many)
def test_bytes_are_evened_out_as_far_as_one_exchange_can(members, count, copies, sizes):
    region = RegionAttributes(name="r", redundant_copies=copies, total_num_buckets=count)
    servers = [Server(f"s{i}") for i in range(members)]
    sizes = sizes[:count]
    old = place(region, servers, ())
    goal = rebalance(region, servers, old, sizes)
    before, after = bytes_of(servers, old, sizes), bytes_of(servers, goal, sizes)
    worth = worth_moving(sum(after.values()), members)
    assert spread(after) <= max(spread(before), worth)
    rich, poor = max(after, key=lambda name: after[name]), min(after, key=lambda name: after[name])
    gap = after[rich] - after[poor]
    if gap > worth:
        for given_, x in zip(goal, sizes, strict=True):
            for back, y in zip(goal, sizes, strict=True):
                one, other = {given_.primary, *given_.secondaries}, {back.primary, *back.secondaries}
                if rich in one - other and poor in other - one:
                    assert gap - abs(gap - 2 * (x - y)) <= worth / 2, "an exchange would make it better"


def test_one_large_bucket_is_evened_out_by_small_ones():
    region = RegionAttributes(name="r", total_num_buckets=6)
    servers = [Server("a"), Server("b")]
    sizes = [size * WORTH_BYTES_MIN for size in (900, 300, 300, 100, 300, 100)]
    old = tuple(BucketPlacement(name) for name in "aaabbb")
    goal = rebalance(region, servers, old, sizes)
    assert sorted(bytes_of(servers, goal, sizes).values()) == [900 * WORTH_BYTES_MIN, 1100 * WORTH_BYTES_MIN]
    assert spread(counts_of(servers, goal)[0]) == 0


def test_a_new_server_gets_its_share_and_no_more_is_moved_than_that():
    region = RegionAttributes(name="r", total_num_buckets=12)
    old = place(region, [Server("a"), Server("b")], ())
    goal = rebalance(region, [Server("a"), Server("b"), Server("c")], old, [10] * 12)
    told = moves("r", old, goal, [10] * 12)
    assert told == Moves("r", created=0, created_bytes=0, moved=4, moved_bytes=40, primaries=4)
    assert set(counts_of([Server("a"), Server("b"), Server("c")], goal)[1].values()) == {4}


def test_missing_redundancy_is_counted_apart_from_what_moves():
    before = (BucketPlacement("a", (), ("b",)), BucketPlacement("a", ("b",)))
    goal = (BucketPlacement("a", ("b",)), BucketPlacement("b", ("c",)))
    assert moves("r", before, goal, [5, 7]) == Moves("r", 1, 5, 1, 7, 1)


def test_steps_are_left_until_the_goal_is_reached():
    wanted = (BucketPlacement("b"),)
    ways = [BucketPlacement("a"), BucketPlacement("a", (), ("b",)), BucketPlacement("b", ("a",)), BucketPlacement("b")]
    assert [remaining(RegionPlacement("r", (bucket,), wanted)) for bucket in ways] == [3, 3, 1, 0]
    assert remaining(RegionPlacement("r", wanted)) == 0
