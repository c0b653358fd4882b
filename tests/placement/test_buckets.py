"""Where buckets should be, and the steps that lead there."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from heliograph.model.attributes import RegionAttributes
from heliograph.model.ids import Address
from heliograph.model.members import BucketPlacement, Buckets, MemberInfo, RegionPlacement
from heliograph.placement.buckets import (
    SWITCHES_AT_ONCE,
    Seen,
    Server,
    advance,
    follow_up,
    oldest_running,
    place,
    reached,
    servers_by_age,
    staying,
)

NAMES = [f"s{i}" for i in range(6)]
names = st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=6)
regions = st.one_of(
    st.builds(lambda n: RegionAttributes(name="r", type="REPLICATE", total_num_buckets=n), st.integers(1, 20)),
    st.builds(
        lambda n, copies: RegionAttributes(name="r", redundant_copies=copies, total_num_buckets=n),
        st.integers(1, 20),
        st.integers(0, 3),
    ),
)
zones = st.fixed_dictionaries({name: st.sampled_from(["", "z1", "z2", "z3"]) for name in NAMES})


def servers_of(some, zones):
    return [Server(name, zones[name]) for name in some]


def copies_possible(region, servers):
    """How many redundant copies there are room for: one a zone; who has none is a zone of its own."""
    if region.replicated:
        return len(servers) - 1
    apart = {server.zone or server.name for server in servers}
    return min(region.copies, len(apart) - 1)


def check_whole(region, servers, buckets):
    """Every bucket is placed, with the right number of copies, none beside another in a zone."""
    zone_of = dict(servers)
    assert len(buckets) == region.total_num_buckets
    for bucket in buckets:
        holders = [bucket.primary, *bucket.secondaries]
        assert set(holders) <= set(zone_of)
        assert len(set(holders)) == len(holders)
        assert not bucket.loading
        if region.replicated:
            assert set(holders) == set(zone_of)
            continue
        taken = [zone_of[name] for name in holders if zone_of[name]]
        assert len(set(taken)) == len(taken), "two copies are in one zone"
        apart = {zone_of[name] or name for name in holders}
        others = {server.zone or server.name for server in servers} - apart
        assert len(holders) == 1 + region.copies or not others


@given(regions, zones, st.lists(names, min_size=1, max_size=5))
def test_after_every_change_of_members_the_placement_is_whole_and_moved_only_what_it_had_to(region, zones, history):
    before: Buckets = ()
    for some in history:
        servers = servers_of(some, zones)
        wanted = place(region, servers, before)
        check_whole(region, servers, wanted)
        for bucket, was in zip(wanted, before, strict=False):
            alive = [name for name in (was.primary, *was.secondaries) if name in some]
            if was.primary in some:
                assert bucket.primary == was.primary
            elif alive:
                assert bucket.primary in alive, "a copy that lives is promoted before another member is taken"
            assert set(alive) <= {bucket.primary, *bucket.secondaries}, "what may stay stays"
        assert place(region, servers, wanted) == wanted, "placing twice changes nothing"
        before = wanted


@given(st.integers(1, 6), st.integers(1, 40))
def test_a_new_region_is_spread_evenly(members, buckets):
    servers = [Server(f"s{i}") for i in range(members)]
    placed = place(RegionAttributes(name="r", total_num_buckets=buckets), servers, ())
    counts = Counter(bucket.primary for bucket in placed)
    assert max(counts.values()) - min(counts.get(server.name, 0) for server in servers) <= 1


def test_a_second_copy_in_a_zone_is_not_made_and_one_that_is_there_by_now_is_given_up():
    region = RegionAttributes(name="r", redundant_copies=1, total_num_buckets=2)
    (one, _) = place(region, [Server("a", "z1"), Server("b", "z1")], ())
    assert one.secondaries == ()
    before = (BucketPlacement("a", ("b",)), BucketPlacement("b", ("a",)))
    placed = place(region, [Server("a", "z1"), Server("b", "z1"), Server("c", "z2")], before)
    assert placed == (BucketPlacement("a", ("c",)), BucketPlacement("b", ("c",)))


# --- the steps


def seen_of(buckets, accepting):
    """What servers would say that load at once and take writes in the buckets of `accepting`."""
    holding = {name for bucket in buckets for name in bucket.holders}
    return {
        name: Seen(
            frozenset(n for n, bucket in enumerate(buckets) if name in bucket.holders),
            frozenset(n for n, bucket in enumerate(buckets) if name == bucket.primary and n in accepting),
        )
        for name in holding
    }


@given(st.data(), regions, zones, names, names)
def test_every_step_keeps_the_buckets_with_who_has_loaded_them_and_the_steps_end_at_the_goal(
    data, region, zones, here, there
):
    """What servers say is true but may be late; some die on the way."""
    live = {*here, *there}
    buckets = place(region, servers_of(here, zones), ())
    loaded = {(n, name) for n, bucket in enumerate(buckets) for name in bucket.holders}
    remaining = list(there)
    for step in range(100):
        goal = place(region, servers_of(remaining, zones), buckets)
        every = seen_of(buckets, range(len(buckets)))
        heard = data.draw(st.sets(st.sampled_from(NAMES))) if step < 10 else set(NAMES)
        seen = {name: said for name, said in every.items() if name in heard}
        after = advance(buckets, goal, live, seen)
        loaded |= {(n, name) for name, said in seen.items() for n in said.loaded}
        for n, (was, bucket) in enumerate(zip(buckets, after, strict=True)):
            assert bucket.primary in live
            assert len(set(bucket.holders)) == len(bucket.holders)
            assert all((n, name) in loaded for name in bucket.secondaries), "a copy counts that is not loaded"
            alive = {name for name in (was.primary, *was.secondaries) if name in live and (n, name) in loaded}
            if alive:
                assert bucket.primary in alive or (n, bucket.primary) in loaded
                kept = {bucket.primary, *bucket.secondaries}
                assert len(kept) >= min(len(alive), len(goal[n].holders)), "redundancy is given up"
            else:
                loaded.add((n, bucket.primary))  # it is loaded when it takes over
        buckets = after
        loaded &= {(n, name) for n, bucket in enumerate(buckets) for name in bucket.holders}
        if step < 10 and len(remaining) > 1 and data.draw(st.integers(0, 5)) == 0:
            dead = data.draw(st.sampled_from(remaining))
            remaining.remove(dead)
            live.discard(dead)
            loaded = {(n, name) for n, name in loaded if name != dead}
        if step > 10 and reached(buckets, goal):
            break
    assert reached(buckets, place(region, servers_of(remaining, zones), buckets))
    check_whole(region, servers_of(remaining, zones), buckets)


def test_a_bucket_moves_by_being_loaded_then_led_then_given_up():
    region = RegionAttributes(name="r", total_num_buckets=1)
    servers, live = [Server("new")], {"old", "new"}
    steps = [RegionPlacement("r", (BucketPlacement("old"),))]

    def step(**seen):
        steps.append(follow_up(region, servers, live, steps[-1], seen))
        return steps[-1].buckets[0]

    none, both = Seen(frozenset(), frozenset()), Seen(frozenset({0}), frozenset({0}))
    loaded = Seen(frozenset({0}), frozenset())
    assert step(old=both) == BucketPlacement("old", (), ("new",))
    assert step(old=both, new=none) == BucketPlacement("old", (), ("new",)), "it has not loaded it yet"
    assert step(old=both, new=loaded) == BucketPlacement("new", ("old",))
    assert step(old=loaded, new=loaded) == BucketPlacement("new", ("old",)), "it takes no writes yet"
    assert step(old=loaded, new=both) == BucketPlacement("new")
    assert steps[-1].goal == ()
    assert follow_up(region, servers, live, steps[-1], {}) == steps[-1]


def test_who_has_loaded_its_copy_takes_over_before_who_has_not():
    region = RegionAttributes(name="r", redundant_copies=1, total_num_buckets=1)
    placement = RegionPlacement("r", (BucketPlacement("a", ("b",), ("c",)),), (BucketPlacement("c", ("b",)),))
    after = follow_up(region, [Server("b"), Server("c")], {"b", "c"}, placement, {})
    assert after.buckets == (BucketPlacement("b", (), ("c",)),)
    assert after.goal == (BucketPlacement("c", ("b",)),)


def test_not_all_primaries_are_moved_at_once():
    count = 2 * SWITCHES_AT_ONCE + 1
    region = RegionAttributes(name="r", redundant_copies=1, total_num_buckets=count)
    placement = RegionPlacement("r", (BucketPlacement("a", ("b",)),) * count, (BucketPlacement("b", ("a",)),) * count)
    moved = []
    for _ in range(3):
        placement = follow_up(region, [Server("a"), Server("b")], {"a", "b"}, placement, {})
        moved.append(sum(bucket.primary == "b" for bucket in placement.buckets))
    assert moved == [SWITCHES_AT_ONCE, 2 * SWITCHES_AT_ONCE, count]


# --- who is who


def member(name, order, kind="server", senders=(), leaving=False, joined_ms=0):
    return MemberInfo(
        name=name,
        kind=kind,
        incarnation="",
        joined_ms=joined_ms,
        address=Address("h", 1),
        pid=1,
        running_senders=senders,
        redundancy_zone=f"z-{name}",
        leaving=leaving,
        order=order,
    )


def test_the_oldest_member_that_runs_a_sender_is_its_primary():
    members = [
        member("l", 0, "locator"), member("s3", 3, senders=("ny",)), member("s1", 1), member("s2", 2, senders=("ny",)),
    ]  # fmt: skip
    assert [each.name for each in servers_by_age(members)] == ["s1", "s2", "s3"]
    assert oldest_running(members, "ny") == "s2"
    assert oldest_running(members, "ln") == ""


def test_age_is_the_order_of_joining_and_not_what_clocks_say():
    members = [member("s1", 1, joined_ms=9), member("s2", 2, joined_ms=1)]
    assert [each.name for each in servers_by_age(members)] == ["s1", "s2"]


def test_who_leaves_is_given_nothing_unless_everybody_leaves():
    members = [member("a", 1, leaving=True), member("b", 2)]
    assert staying(members) == [Server("b", "z-b")]
    assert staying(members[:1]) == [Server("a", "z-a")]
