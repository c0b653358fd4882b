"""Placement of buckets."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from heliograph.model.attributes import RegionAttributes
from heliograph.model.ids import Address
from heliograph.model.members import MemberInfo
from heliograph.placement.buckets import oldest_running, place, servers_by_age

names = st.lists(st.sampled_from([f"s{i}" for i in range(6)]), unique=True, max_size=6)
regions = st.one_of(
    st.builds(lambda n: RegionAttributes(name="r", type="REPLICATE", total_num_buckets=n), st.integers(1, 20)),
    st.builds(
        lambda n, copies: RegionAttributes(name="r", redundant_copies=copies, total_num_buckets=n),
        st.integers(1, 20),
        st.integers(0, 3),
    ),
)


@given(regions, st.lists(names, min_size=1, max_size=5))
def test_after_every_change_of_members_the_placement_is_whole_and_moved_only_what_it_had_to(region, history):
    current = None
    for servers in history:
        wanted = place(region, servers, current)
        copies = len(servers) - 1 if region.replicated else min(region.copies, len(servers) - 1)
        for number, bucket in enumerate(wanted.buckets):
            if not servers:
                assert bucket.primary == ""
                continue
            holders = {bucket.primary, *bucket.secondaries}
            assert holders <= set(servers)
            assert len(holders) == 1 + len(bucket.secondaries) >= 1 + copies
            before = current.buckets[number] if current else None
            if before is not None and before.primary in servers:
                assert bucket.primary == before.primary
            elif before is not None and (alive := [name for name in before.secondaries if name in servers]):
                assert bucket.primary in alive, "a copy that lives is promoted before another member is taken"
        assert place(region, servers, wanted) == wanted, "placing twice changes nothing"
        current = wanted


@given(st.integers(1, 6), st.integers(1, 40))
def test_a_new_region_is_spread_evenly(members, buckets):
    servers = [f"s{i}" for i in range(members)]
    placement = place(RegionAttributes(name="r", total_num_buckets=buckets), servers, None)
    counts = Counter(bucket.primary for bucket in placement.buckets)
    assert max(counts.values()) - min(counts.get(server, 0) for server in servers) <= 1


def member(name, joined_ms, kind="server", senders=()):
    return MemberInfo(
        name=name,
        kind=kind,
        incarnation="",
        joined_ms=joined_ms,
        address=Address("h", 1),
        pid=1,
        running_senders=senders,
    )


def test_the_oldest_member_that_runs_a_sender_is_its_primary():
    members = [
        member("l", 0, "locator"), member("s3", 3, senders=("ny",)), member("s1", 1), member("s2", 2, senders=("ny",)),
    ]  # fmt: skip
    assert [each.name for each in servers_by_age(members)] == ["s1", "s2", "s3"]
    assert oldest_running(members, "ny") == "s2"
    assert oldest_running(members, "ln") == ""
